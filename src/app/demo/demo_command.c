/* `cathay demo`: a shop to look at, with people who sign in. Safe to repeat: what is there stays. */
#include "app/commands.h"

#include "app/demo/demo.h"
#include "base/config.h"
#include "demo_sql.h"
#include "pg/migrate.h"
#include "shop/accounts/accounts.h"
#include "shop/loyalty/loyalty.h"

#include <stdio.h>

#define DEMO_PASSWORD "fly-and-buy-2026"
#define DOMAIN "@cathay.example"

static const char help[] = "Usage: cathay demo\n\n"
                           "Fills an empty, migrated database with a demo shop: vendors, categories, "
                           "products with variants, prices,\n"
                           "stock and pictures, and people of every role. What is there already stays as it "
                           "is. Prints the sign-ins.\n";

static const struct person {
    const char *email, *name;
    enum api_role role;
    int vendor; /* index into demo_vendors, or -1 */
    int64_t miles;
} people[] = {
    {"amy" DOMAIN, "Amy Chan", ROLE_CUSTOMER, -1, 60000},
    {"ben" DOMAIN, "Ben Okafor", ROLE_CUSTOMER, -1, 12500},
    {"carmen" DOMAIN, "Carmen Reyes", ROLE_CUSTOMER, -1, 250000},
    {"david" DOMAIN, "David Lindqvist", ROLE_CUSTOMER, -1, 800},
    {"emma" DOMAIN, "Emma Wong", ROLE_CUSTOMER, -1, 0},
    {"support" DOMAIN, "Sam Support", ROLE_SUPPORT, -1, 0},
    {"manager" DOMAIN, "Mona Manager", ROLE_MANAGER, -1, 0},
    {"admin" DOMAIN, "Ada Admin", ROLE_ADMIN, -1, 0},
};
#define PERSON_COUNT (sizeof people / sizeof *people)

struct demo {
    struct pg *db;
    struct arena *arena;
    struct error error;
};

static int failed(struct demo *demo, enum error_code code)
{
    const char *detail = demo->error.detail[0] ? demo->error.detail : pg_error(demo->db)->detail;
    fprintf(stderr, "cathay demo: %s\n", detail[0] ? detail : error_title(code));
    return 2;
}

struct grant {
    struct arena *arena;
    struct user_id user_id;
    int64_t points;
};

/* Once: a customer who has miles already, or had some, is left alone. */
static enum error_code grant(struct pg *db, void *context)
{
    const struct grant *work = context;
    struct account_id account_id;
    struct loyalty_balance balance;
    enum error_code code = loyalty_account_ensure(db, work->arena, work->user_id, &account_id);
    if (!code)
        code = loyalty_balance(db, work->arena, work->user_id, &balance);
    if (code || balance.posted != 0 || balance.held != 0)
        return code;
    return loyalty_grant(db, work->arena, work->user_id, work->points, STR("Welcome to the demo shop"),
                         (struct uuid){{0}});
}

static enum error_code person_make(struct demo *demo, const struct person *person)
{
    struct user_draft draft = {
        .email = str_from(person->email),
        .password = STR(DEMO_PASSWORD),
        .name = str_from(person->name),
        .role = person->role,
        .vendor_id = person->vendor >= 0 ? demo_vendor_id((size_t)person->vendor) : (struct vendor_id){{{0}}},
    };
    struct demo_user_find_row known;
    bool found;
    struct user_id id;
    enum error_code code =
        demo_user_find(demo->db, demo->arena, (struct demo_user_find_args){draft.email}, &known, &found);
    if (!code && found)
        id = known.id;
    else if (!code)
        code = accounts_user_create(demo->db, demo->arena, &draft, &id, &demo->error);
    if (code || person->miles == 0)
        return code;
    struct grant work = {demo->arena, id, person->miles};
    return pg_transaction(demo->db, grant, &work);
}

static enum error_code people_make(struct demo *demo)
{
    enum error_code code = ERR_OK;
    for (size_t i = 0; i < PERSON_COUNT && !code; i++)
        code = person_make(demo, &people[i]);
    for (size_t i = 0; i < demo_vendor_count && !code; i++) {
        struct person vendor = {
            .email = arena_cstr(demo->arena, arena_printf(demo->arena, "%s" DOMAIN, demo_vendors[i].slug)),
            .name = demo_vendors[i].name,
            .role = ROLE_VENDOR,
            .vendor = (int)i,
        };
        code = person_make(demo, &vendor);
    }
    return code;
}

static enum error_code report(struct demo *demo)
{
    struct demo_counts_row counts;
    bool found;
    enum error_code code = demo_counts(demo->db, demo->arena, &counts, &found);
    if (code)
        return code;
    printf("Demo shop: %lld products on sale, %lld variants, %lld pictures, %lld categories, %lld vendors, "
           "%lld pieces in stock\n\n",
           (long long)counts.products, (long long)counts.variants, (long long)counts.pictures,
           (long long)counts.categories, (long long)counts.vendors, (long long)counts.units);
    printf("  %-38s %-10s %s\n", "sign in as", "role", "");
    for (size_t i = 0; i < PERSON_COUNT; i++) {
        const struct person *person = &people[i];
        char note[48] = "";
        if (person->role == ROLE_CUSTOMER)
            snprintf(note, sizeof note, "%lld miles", (long long)person->miles);
        printf("  %-38s %-10s %s\n", person->email, accounts_role_text(person->role), note);
    }
    printf("  %-38s %-10s %s; each vendor has one of its slug\n", "altitude-luggage" DOMAIN, "vendor",
           "Altitude Luggage");
    printf("\n  Password of all: %s\n", DEMO_PASSWORD);
    return ERR_OK;
}

int demo_command(int argc, char **argv)
{
    if (argc > 1) {
        bool asked = strcmp(argv[1], "--help") == 0;
        fputs(help, asked ? stdout : stderr);
        return asked ? 0 : 2;
    }
    /* As the owner: PostgreSQL is asked to look at what was filled (ANALYZE), which it does for owners only.
     */
    struct demo demo = {.db = pg_new(migrate_database(), "demo", NULL), .arena = arena_new()};
    bool loaded;
    enum error_code code = demo_catalog_load(demo.db, demo.arena, &loaded);
    if (!code)
        code = people_make(&demo);
    if (!code)
        code = report(&demo);
    int status = code ? failed(&demo, code) : 0;
    arena_free(demo.arena);
    pg_free(demo.db);
    return status;
}
