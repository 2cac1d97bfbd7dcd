/* `cathay user`: accounts from a terminal, for the first admin and for who has lost a password. */
#include "app/commands.h"

#include "accounts_sql.h"
#include "base/config.h"
#include "base/text.h"
#include "shop/accounts/accounts.h"
#include "shop/accounts/accounts_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static const char help[] =
    "Usage: cathay user create --email ADDRESS --role ROLE [--name NAME] [--vendor SLUG] [--generate]\n"
    "       cathay user set-password --email ADDRESS [--generate]\n"
    "       cathay user block --email ADDRESS\n"
    "       cathay user unblock --email ADDRESS\n"
    "       cathay user list [--role ROLE] [--state active|blocked] [--email PREFIX] [--limit N]\n"
    "\n"
    "ROLE: customer, vendor (needs --vendor), support, manager or admin.\n"
    "The password is read from standard input, one line, without an echo on a terminal; --generate makes one "
    "and prints it.\n"
    "A new password, and blocking, end the account's sessions.\n";

#define PASSWORD_LINE_MAX 1024
#define GENERATED_BYTES 15
#define LIST_DEFAULT 50
#define LIST_MAX 1000

struct command {
    struct pg *db;
    struct arena *arena;
    const char *email, *role, *name, *vendor, *state;
    int64_t limit;
    bool generate;
};

static int fail(const char *text)
{
    fprintf(stderr, "cathay user: %s\n", text);
    return 2;
}

/* What went wrong, with the fields, in one line. */
static int failed(const struct command *command, enum error_code code, const struct error *error)
{
    const char *detail = error->detail[0] ? error->detail : pg_error(command->db)->detail;
    fprintf(stderr, "cathay user: %s", detail[0] ? detail : error_title(code));
    for (size_t i = 0; i < error->field_count; i++)
        fprintf(stderr, "%s %s %s", i ? "," : ":", error->fields[i].field, error->fields[i].reason);
    fputc('\n', stderr);
    return 2;
}

static void generate(char out[PASSWORD_LINE_MAX])
{
    uint8_t bytes[GENERATED_BYTES];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(out, PASSWORD_LINE_MAX, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static bool read_line(char out[PASSWORD_LINE_MAX])
{
    struct termios before, quiet;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fputs("Password: ", stderr);
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    bool read = fgets(out, PASSWORD_LINE_MAX, stdin) != NULL;
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (read)
        out[strcspn(out, "\r\n")] = '\0';
    return read;
}

static bool password_of(const struct command *command, char out[PASSWORD_LINE_MAX])
{
    if (!command->generate)
        return read_line(out);
    generate(out);
    return true;
}

static int create(const struct command *command)
{
    char password[PASSWORD_LINE_MAX], id_text[ID_TEXT_MAX];
    struct error error = {.code = ERR_OK};
    struct user_draft draft = {.email = str_from(command->email),
                               .name = str_from(command->name ? command->name : command->email)};
    struct user_id id;
    if (!command->email || !command->role || !accounts_role_parse(str_from(command->role), &draft.role))
        return fail("create needs --email and --role (customer, vendor, support, manager or admin)");
    if (command->vendor) {
        struct user_vendor_by_slug_row vendor;
        bool found;
        enum error_code code = user_vendor_by_slug(
            command->db, command->arena, (struct user_vendor_by_slug_args){str_from(command->vendor)},
            &vendor, &found);
        if (code)
            return failed(command, code, &error);
        if (!found)
            return fail("there is no vendor with that slug");
        draft.vendor_id = vendor.id;
    }
    if (!password_of(command, password))
        return fail("there is no password on standard input; or use --generate");
    draft.password = str_from(password);
    enum error_code code = accounts_user_create(command->db, command->arena, &draft, &id, &error);
    if (code)
        return failed(command, code, &error);
    user_id_text(id, id_text);
    printf("%s\n", id_text);
    if (command->generate)
        printf("password: %s\n", password);
    return 0;
}

static int find(const struct command *command, struct user_by_email_row *row)
{
    struct str email = str_from(command->email);
    bool found;
    struct error error = {.code = ERR_OK};
    if (!command->email || text_prepare(command->arena, TEXT_EMAIL, &email))
        return fail("it needs --email with an e-mail address");
    enum error_code code =
        user_by_email(command->db, command->arena, (struct user_by_email_args){email}, row, &found);
    if (code)
        return failed(command, code, &error);
    return found ? 0 : fail("there is no account with that address");
}

static int set_password(const struct command *command)
{
    char password[PASSWORD_LINE_MAX];
    struct error error = {.code = ERR_OK};
    struct user_by_email_row row;
    int status = find(command, &row);
    if (status)
        return status;
    if (!password_of(command, password))
        return fail("there is no password on standard input; or use --generate");
    enum error_code code = accounts_password_set(command->db, command->arena, row.id, row.email, row.name,
                                                 str_from(password), &error);
    if (code)
        return failed(command, code, &error);
    if (command->generate)
        printf("password: %s\n", password);
    return 0;
}

static int set_state(const struct command *command, bool block)
{
    struct error error = {.code = ERR_OK};
    struct user_by_email_row row;
    int status = find(command, &row);
    if (status)
        return status;
    enum error_code code = accounts_block_set(command->db, command->arena, row.id, block);
    return code ? failed(command, code, &error) : 0;
}

static int list(const struct command *command)
{
    struct error error = {.code = ERR_OK};
    enum api_role role;
    if (command->role && !accounts_role_parse(str_from(command->role), &role))
        return fail("--role is customer, vendor, support, manager or admin");
    struct user_page_args args = {
        .role = str_from(command->role),
        .state = str_from(command->state),
        .email = str_from(command->email),
        .most = (int32_t)command->limit,
    };
    struct user_page_rows rows;
    enum error_code code = user_page(command->db, command->arena, args, &rows);
    if (code)
        return failed(command, code, &error);
    for (size_t i = 0; i < rows.count; i++) {
        const struct user_page_row *row = &rows.items[i];
        char id[ID_TEXT_MAX];
        user_id_text(row->id, id);
        printf("%s  %-8.*s  %-7.*s  %-32.*s  %.*s\n", id, STR_ARG(row->role), STR_ARG(row->state),
               STR_ARG(row->email), STR_ARG(row->name));
    }
    return 0;
}

static bool parse_options(struct command *command, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **value;
    } options[] = {{"--email", &command->email},
                   {"--role", &command->role},
                   {"--name", &command->name},
                   {"--vendor", &command->vendor},
                   {"--state", &command->state}};
    for (int i = 2; i < argc; i++) {
        bool known = strcmp(argv[i], "--generate") == 0;
        command->generate |= known;
        if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc)
            known = str_to_int64(str_from(argv[++i]), &command->limit) && command->limit > 0 &&
                    command->limit <= LIST_MAX;
        for (size_t j = 0; !known && j < sizeof options / sizeof options[0]; j++)
            if (strcmp(argv[i], options[j].name) == 0 && i + 1 < argc) {
                *options[j].value = argv[++i];
                known = true;
            }
        if (!known) {
            fprintf(stderr, "cathay user: cannot make sense of \"%s\"; see cathay user --help\n", argv[i]);
            return false;
        }
    }
    return true;
}

static int run(const struct command *command, const char *verb)
{
    if (strcmp(verb, "create") == 0)
        return create(command);
    if (strcmp(verb, "set-password") == 0)
        return set_password(command);
    if (strcmp(verb, "block") == 0 || strcmp(verb, "unblock") == 0)
        return set_state(command, verb[0] == 'b');
    if (strcmp(verb, "list") == 0)
        return list(command);
    fprintf(stderr, "cathay user: cannot make sense of \"%s\"; see cathay user --help\n", verb);
    return 2;
}

int user_command(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        fputs(help, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    struct command command = {.limit = LIST_DEFAULT};
    if (!parse_options(&command, argc, argv))
        return 2;
    command.db = pg_new(config()->database_url, "user", NULL);
    command.arena = arena_new();
    int status = run(&command, argv[1]);
    arena_free(command.arena);
    pg_free(command.db);
    return status;
}
