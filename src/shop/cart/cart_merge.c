/* Taking a guest's cart over. Both carts are locked, the customer's first: nobody else holds a guest's cart
 * while waiting for a customer's, so that this cannot deadlock. */
#include "shop/cart/cart_view.h"

#include "cart_sql.h"

static enum error_code own_cart(struct pg *db, struct arena *arena, struct user_id user_id,
                                struct str currency, struct cart_id *id)
{
    struct cart_open_lock_row row;
    bool found;
    for (int attempt = 0; attempt < 2; attempt++) {
        enum error_code code = cart_open_lock(db, arena, (struct cart_open_lock_args){user_id}, &row, &found);
        if (code || found) {
            *id = row.id;
            return code;
        }
        code =
            cart_insert(db, (struct cart_insert_args){cart_id_new(), opt_user_id(user_id), currency}, NULL);
        if (code)
            return code;
    }
    return ERR_DATABASE_RETRY; /* made and spent by others in between: once more */
}

static enum error_code write_lines(struct pg *db, struct arena *arena, struct cart_id own_id,
                                   const struct cart_item *merged, size_t count)
{
    struct variant_id *variants = ARENA_ARRAY(arena, struct variant_id, count);
    int32_t *quantities = ARENA_ARRAY(arena, int32_t, count);
    bool *saved = ARENA_ARRAY(arena, bool, count);
    struct opt_int64 *prices = ARENA_ARRAY(arena, struct opt_int64, count);
    for (size_t i = 0; i < count; i++) {
        variants[i] = merged[i].variant_id;
        quantities[i] = merged[i].quantity;
        saved[i] = merged[i].saved;
        prices[i] = (struct opt_int64){merged[i].has_seen_price, merged[i].seen_price_minor};
    }
    struct cart_items_write_args args = {
        own_id, {variants, count}, {quantities, count}, {saved, count}, {prices, count}};
    return cart_items_write(db, args, NULL);
}

static enum error_code merge_items(struct pg *db, struct arena *arena, struct cart_id own_id,
                                   struct cart_id guest_id, bool same_currency)
{
    struct cart_items_of_two_rows rows;
    enum error_code code =
        cart_items_of_two(db, arena, (struct cart_items_of_two_args){own_id, guest_id}, &rows);
    if (code)
        return code;
    struct cart_item *own = ARENA_ARRAY(arena, struct cart_item, rows.count);
    struct cart_item *guest = ARENA_ARRAY(arena, struct cart_item, rows.count);
    struct cart_item *merged = ARENA_ARRAY(arena, struct cart_item, rows.count);
    size_t own_count = 0, guest_count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const struct cart_items_of_two_row *row = &rows.items[i];
        bool is_own = cart_id_equal(row->cart_id, own_id);
        struct cart_item item = {row->variant_id, row->quantity, row->saved,
                                 row->seen_price_minor.present && (is_own || same_currency),
                                 row->seen_price_minor.value};
        if (is_own)
            own[own_count++] = item;
        else
            guest[guest_count++] = item;
    }
    struct cart_limits limits = cart_limits_configured();
    size_t count = cart_merge(own, own_count, guest, guest_count, &limits, merged);
    code = write_lines(db, arena, own_id, merged, count);
    if (!code)
        code = cart_touch(db, (struct cart_touch_args){own_id}, NULL);
    return code ? code : cart_merged_set(db, (struct cart_merged_set_args){guest_id, own_id}, NULL);
}

enum error_code cart_merge_locked(struct pg *db, struct arena *arena, struct user_id user_id,
                                  struct cart_id guest_id)
{
    struct cart_view guest_view;
    struct cart_id own_id = {0};
    struct cart_lock_row guest;
    bool found;
    /* Unlocked at first: a cart that is no guest's must not make one for the customer. */
    enum error_code code =
        cart_view_load(db, arena, opt_cart_id(guest_id), (struct opt_user_id){0}, NULL, &guest_view);
    if (code || guest_view.user_id.present)
        return code ? code : ERR_NOT_FOUND;
    struct str currency = str_from(api_currency_names[guest_view.cart.currency - 1]);
    code = own_cart(db, arena, user_id, currency, &own_id);
    if (!code)
        code = cart_lock(db, arena, (struct cart_lock_args){guest_id}, &guest, &found);
    if (code)
        return code;
    if (!found || guest.user_id.present)
        return ERR_NOT_FOUND;
    if (guest.merged_into.present) {
        struct cart_owner_row into; /* unlocked: its customer may be waiting for this guest's cart */
        code = cart_owner(db, arena, (struct cart_owner_args){guest.merged_into.value}, &into, &found);
        bool ours = !code && found && into.user_id.present && user_id_equal(into.user_id.value, user_id);
        return code ? code : ours ? ERR_OK : ERR_CONFLICT;
    }
    struct cart_lock_row own;
    code = cart_lock(db, arena, (struct cart_lock_args){own_id}, &own, &found);
    return code ? code : merge_items(db, arena, own_id, guest_id, str_equal(own.currency, guest.currency));
}

struct merge_work {
    struct arena *arena;
    struct user_id user_id;
    struct cart_id guest_id;
};

static enum error_code merge_transaction(struct pg *db, void *context)
{
    const struct merge_work *work = context;
    return cart_merge_locked(db, work->arena, work->user_id, work->guest_id);
}

enum error_code cart_merge_at_sign_in(struct pg *db, struct arena *arena, struct user_id user_id,
                                      struct cart_id guest_id)
{
    struct merge_work work = {arena, user_id, guest_id};
    return pg_transaction(db, merge_transaction, &work);
}
