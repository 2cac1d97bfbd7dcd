#include "cart_sql.h"
#include "base/config.h"
#include "shop/accounts/accounts.h"
#include "shop/cart/cart_view.h"

#define SWEEP_MAX 5000

static enum error_code cart_sweep_task(struct task_run *run)
{
    return cart_sweep(run->db, (struct cart_sweep_args){(int32_t)config()->guest_cart_days, SWEEP_MAX}, NULL);
}

static enum error_code check_one_open(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_one_open_cart_rows rows;
    enum error_code code = verify_one_open_cart(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char id[ID_TEXT_MAX];
        user_id_text(rows.items[i].user_id.value, id);
        violation_add(violations, id, "has %lld open carts", (long long)rows.items[i].carts);
    }
    return code;
}

static enum error_code check_items(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_cart_items_rows rows;
    enum error_code code = verify_cart_items(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char cart[ID_TEXT_MAX], variant[ID_TEXT_MAX];
        cart_id_text(rows.items[i].cart_id, cart);
        variant_id_text(rows.items[i].variant_id, variant);
        violation_add(violations, cart, "holds %s, which does not exist", variant);
    }
    return code;
}

static enum error_code check_owners(struct pg *db, struct arena *arena, struct violations *violations)
{
    struct verify_cart_owners_rows rows;
    enum error_code code = verify_cart_owners(db, arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        char cart[ID_TEXT_MAX], user[ID_TEXT_MAX];
        cart_id_text(rows.items[i].id, cart);
        user_id_text(rows.items[i].user_id.value, user);
        violation_add(violations, cart, "belongs to %s, who is no customer", user);
    }
    return code;
}

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    (void)error;
    accounts_on_signed_in(cart_merge_at_sign_in);
    return ERR_OK;
}

static const struct task_definition tasks[] = {
    {.name = "cart_sweep", .run = cart_sweep_task, .mode = TASK_TRANSACTION, .priority = TASK_LOW},
    {NULL},
};

static const struct schedule_definition schedules[] = {
    {"cart_sweep", 3600, "removes guests' carts that nobody has touched for some weeks"},
    {NULL},
};

static const struct invariant invariants[] = {
    {"customer_has_one_open_cart", "a customer has at most one open cart", check_one_open},
    {"cart_items_exist", "every line of a cart names a variant that exists", check_items},
    {"cart_owner_is_customer", "a cart is a guest's or an existing customer's", check_owners},
    {NULL},
};

const struct module cart_module = {
    .name = "cart",
    .tasks = tasks,
    .schedules = schedules,
    .invariants = invariants,
    .start = start,
};
