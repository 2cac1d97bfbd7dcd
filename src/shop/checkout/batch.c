/* The locks of a batch are taken in the order that the whole shop keeps (ledger accounts, carts, stock rows,
 * each in key order), so that batches of several lanes and servers and single transactions of other modules
 * wait for each other without deadlock. Lists are sorted arrays with binary search: a batch has a few hundred
 * entries. */
#include "shop/checkout/batch.h"

#include "api.h"
#include "base/check.h"
#include "cart_sql.h"
#include "checkout_sql.h"
#include "inventory_sql.h"
#include "loyalty_sql.h"
#include "orders_sql.h"
#include "payments_sql.h"
#include "pricing_sql.h"
#include "shop/inventory/inventory.h"
#include "work/work.h"

#include <stdlib.h>

#define PAYLOAD_MAX 1024

struct batch {
    struct pg *db;
    struct arena *arena;
    struct checkout_command *const *commands;
    struct checkout_order **orders;
    size_t count;
    size_t line_count;
    /* what is looked up, each sorted by its key and without doubles */
    struct checkout_account *accounts;
    size_t account_count;
    struct checkout_cart *carts;
    size_t cart_count;
    struct checkout_variant *variants; /* by variant and currency */
    bool *variant_found;
    size_t variant_count;
    struct checkout_stocks *stocks; /* by variant */
    size_t stocks_count;
    struct miles_policy *policies;
    size_t policy_count;
};

/* ── lists ── */

static int compare_accounts(const void *a, const void *b)
{
    return uuid_compare(((const struct checkout_account *)a)->user_id.uuid,
                        ((const struct checkout_account *)b)->user_id.uuid);
}

static int compare_carts(const void *a, const void *b)
{
    return uuid_compare(((const struct checkout_cart *)a)->cart_id.uuid,
                        ((const struct checkout_cart *)b)->cart_id.uuid);
}

static int compare_variants(const void *a, const void *b)
{
    const struct checkout_variant *x = a, *y = b;
    int order = uuid_compare(x->variant_id.uuid, y->variant_id.uuid);
    return order ? order : memcmp(x->currency.code, y->currency.code, 3);
}

static int compare_stocks(const void *a, const void *b)
{
    return uuid_compare(((const struct checkout_stocks *)a)->variant_id.uuid,
                        ((const struct checkout_stocks *)b)->variant_id.uuid);
}

static int compare_priority(const void *a, const void *b)
{
    const struct checkout_stock *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority < y->priority ? -1 : 1;
    return uuid_compare(x->location_id.uuid, y->location_id.uuid);
}

/* Sorts and drops doubles; the count that is left. */
static size_t sort_unique(void *items, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    char *at = items;
    if (count == 0)
        return 0;
    qsort(items, count, size, compare);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (compare(at + (kept - 1) * size, at + i * size) == 0)
            continue;
        if (kept != i)
            memcpy(at + kept * size, at + i * size, size);
        kept++;
    }
    return kept;
}

static void list_keys(struct batch *batch)
{
    struct arena *arena = batch->arena;
    for (size_t i = 0; i < batch->count; i++)
        batch->line_count += batch->orders[i]->line_count;
    batch->accounts = ARENA_ARRAY(arena, struct checkout_account, batch->count);
    batch->carts = ARENA_ARRAY(arena, struct checkout_cart, batch->count);
    batch->variants = ARENA_ARRAY(arena, struct checkout_variant, batch->line_count);
    batch->stocks = ARENA_ARRAY(arena, struct checkout_stocks, batch->line_count);
    size_t line = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct checkout_order *order = batch->orders[i];
        batch->accounts[i].user_id = order->customer_id;
        if (order->has_cart)
            batch->carts[batch->cart_count++].cart_id = order->cart_id;
        for (size_t l = 0; l < order->line_count; l++, line++) {
            batch->variants[line].variant_id = batch->stocks[line].variant_id = order->lines[l].variant_id;
            batch->variants[line].currency = order->currency;
        }
    }
    batch->account_count =
        sort_unique(batch->accounts, batch->count, sizeof *batch->accounts, compare_accounts);
    batch->cart_count = sort_unique(batch->carts, batch->cart_count, sizeof *batch->carts, compare_carts);
    batch->variant_count = sort_unique(batch->variants, line, sizeof *batch->variants, compare_variants);
    batch->stocks_count = sort_unique(batch->stocks, line, sizeof *batch->stocks, compare_stocks);
    batch->variant_found = ARENA_ARRAY(arena, bool, batch->variant_count);
}

static struct checkout_account *find_account(struct batch *batch, struct user_id user_id)
{
    struct checkout_account key = {.user_id = user_id};
    return bsearch(&key, batch->accounts, batch->account_count, sizeof key, compare_accounts);
}

static struct checkout_cart *find_cart(struct batch *batch, struct cart_id cart_id)
{
    struct checkout_cart key = {.cart_id = cart_id};
    return bsearch(&key, batch->carts, batch->cart_count, sizeof key, compare_carts);
}

static struct checkout_variant *find_variant(struct batch *batch, struct variant_id variant_id,
                                             struct currency currency)
{
    struct checkout_variant key = {.variant_id = variant_id, .currency = currency};
    return bsearch(&key, batch->variants, batch->variant_count, sizeof key, compare_variants);
}

static struct checkout_stocks *find_stocks(struct batch *batch, struct variant_id variant_id)
{
    struct checkout_stocks key = {.variant_id = variant_id};
    return bsearch(&key, batch->stocks, batch->stocks_count, sizeof key, compare_stocks);
}

/* ── lock and read ── */

/* Each once; they are few. */
static size_t list_currencies(const struct batch *batch, struct str *currencies)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->variant_count; i++) {
        struct str currency = currency_str(&batch->variants[i].currency);
        size_t at = 0;
        while (at < count && !str_equal(currencies[at], currency))
            at++;
        if (at == count)
            currencies[count++] = currency;
    }
    return count;
}

static enum error_code queue_reads(struct batch *batch)
{
    struct arena *arena = batch->arena;
    struct user_id *users = ARENA_ARRAY(arena, struct user_id, batch->account_count);
    for (size_t i = 0; i < batch->account_count; i++)
        users[i] = batch->accounts[i].user_id;
    struct user_id *owners = ARENA_ARRAY(arena, struct user_id, batch->count);
    struct str *keys = ARENA_ARRAY(arena, struct str, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        owners[i] = batch->orders[i]->customer_id;
        keys[i] = batch->orders[i]->key;
    }
    struct cart_id *carts = ARENA_ARRAY(arena, struct cart_id, batch->cart_count);
    for (size_t i = 0; i < batch->cart_count; i++)
        carts[i] = batch->carts[i].cart_id;
    struct str *currencies = ARENA_ARRAY(arena, struct str, batch->variant_count);
    size_t currency_count = list_currencies(batch, currencies);
    struct variant_id *stocked = ARENA_ARRAY(arena, struct variant_id, batch->stocks_count);
    for (size_t i = 0; i < batch->stocks_count; i++)
        stocked[i] = batch->stocks[i].variant_id;

    struct pg *db = batch->db;
    enum error_code code = pg_command_queue(db, "BEGIN");
    if (!code)
        code = loyalty_account_lock_batch_queue(
            db, (struct loyalty_account_lock_batch_args){{users, batch->account_count}});
    if (!code)
        code = checkout_key_batch_queue(
            db, (struct checkout_key_batch_args){{owners, batch->count}, {keys, batch->count}});
    if (!code && batch->cart_count > 0)
        code = cart_lock_batch_queue(db, (struct cart_lock_batch_args){{carts, batch->cart_count}});
    if (!code)
        code = checkout_variant_batch_queue(
            db, (struct checkout_variant_batch_args){{stocked, batch->stocks_count},
                                                     {currencies, currency_count}});
    if (!code)
        code = stock_lock_batch_queue(db, (struct stock_lock_batch_args){{stocked, batch->stocks_count}});
    if (!code)
        code = miles_policy_all_queue(db);
    if (!code)
        code = order_number_take_queue(db, (struct order_number_take_args){(int32_t)batch->count});
    return code;
}

static enum error_code fetch_accounts(struct batch *batch)
{
    struct loyalty_account_lock_batch_rows rows;
    enum error_code code = loyalty_account_lock_batch_fetch(batch->db, batch->arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        struct checkout_account *account = find_account(batch, rows.items[i].user_id);
        CHECK(account);
        account->account_id = rows.items[i].id;
        account->exists = true;
        account->available = rows.items[i].posted - rows.items[i].held;
    }
    return code;
}

/* Hardly ever are there rows: a retry of something that was done. */
static enum error_code fetch_stored(struct batch *batch)
{
    struct checkout_key_batch_rows rows;
    enum error_code code = checkout_key_batch_fetch(batch->db, batch->arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++)
        for (size_t o = 0; o < batch->count; o++) {
            struct checkout_order *order = batch->orders[o];
            if (user_id_equal(order->customer_id, rows.items[i].owner_id) &&
                str_equal(order->key, rows.items[i].key))
                order->stored = (struct checkout_stored){true, rows.items[i].body_hash, rows.items[i].status,
                                                         rows.items[i].body};
        }
    return code;
}

static enum error_code fetch_carts(struct batch *batch)
{
    struct cart_lock_batch_rows rows = {0};
    if (batch->cart_count == 0)
        return ERR_OK;
    enum error_code code = cart_lock_batch_fetch(batch->db, batch->arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        struct checkout_cart *cart = find_cart(batch, rows.items[i].id);
        CHECK(cart);
        cart->exists = true;
        cart->owned = rows.items[i].user_id.present;
        cart->user_id = rows.items[i].user_id.value;
        cart->open = str_equal(rows.items[i].state, STR("open"));
        cart->version = rows.items[i].version;
    }
    return code;
}

static enum miles_tender parse_tender(struct str text)
{
    return str_equal(text, STR("points_only")) ? TENDER_POINTS_ONLY
           : str_equal(text, STR("cash_only")) ? TENDER_CASH_ONLY
                                               : TENDER_ANY;
}

static enum error_code fetch_variants(struct batch *batch)
{
    struct checkout_variant_batch_rows rows;
    enum error_code code = checkout_variant_batch_fetch(batch->db, batch->arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct checkout_variant_batch_row *row = &rows.items[i];
        struct currency currency;
        CHECK(currency_parse(row->currency, &currency));
        struct checkout_variant *variant = find_variant(batch, row->variant_id, currency);
        if (!variant)
            continue; /* asked for in another currency only */
        batch->variant_found[variant - batch->variants] = true;
        variant->product_id = row->product_id;
        variant->vendor_id = row->vendor_id;
        variant->sku = row->sku;
        variant->title = row->title;
        variant->for_sale = row->for_sale;
        variant->has_price = row->amount_minor.present;
        variant->price_minor = row->amount_minor.value;
        variant->tender = parse_tender(row->tender);
        variant->category_path = row->category_path;
        find_stocks(batch, row->variant_id)->product_id = row->product_id;
    }
    return code;
}

static enum error_code fetch_stock(struct batch *batch)
{
    struct stock_lock_batch_rows rows;
    enum error_code code = stock_lock_batch_fetch(batch->db, batch->arena, &rows);
    if (code)
        return code;
    struct checkout_stock *items = ARENA_ARRAY(batch->arena, struct checkout_stock, rows.count);
    for (size_t i = 0; i < rows.count; i++) { /* rows come by variant */
        struct checkout_stocks *stocks = find_stocks(batch, rows.items[i].variant_id);
        CHECK(stocks);
        if (!stocks->items)
            stocks->items = &items[i];
        items[i] = (struct checkout_stock){
            .location_id = rows.items[i].location_id,
            .priority = rows.items[i].priority,
            .available = rows.items[i].on_hand - rows.items[i].reserved,
        };
        stocks->count++;
        stocks->available_before += items[i].available;
    }
    for (size_t i = 0; i < batch->stocks_count; i++)
        if (batch->stocks[i].count > 1)
            qsort(batch->stocks[i].items, batch->stocks[i].count, sizeof *items, compare_priority);
    return ERR_OK;
}

static enum error_code fetch_policies(struct batch *batch)
{
    struct miles_policy_all_rows rows;
    enum error_code code = miles_policy_all_fetch(batch->db, batch->arena, &rows);
    if (code)
        return code;
    batch->policies = ARENA_ARRAY(batch->arena, struct miles_policy, rows.count);
    batch->policy_count = rows.count;
    for (size_t i = 0; i < rows.count; i++) {
        const struct miles_policy_all_row *row = &rows.items[i];
        struct miles_policy *policy = &batch->policies[i];
        *policy = (struct miles_policy){
            .version = row->version,
            .minimum_points = row->minimum_points,
            .step_points = row->step_points,
            .maximum_share = row->maximum_share,
            .points_unit = row->points_unit,
            .minor_unit = row->minor_unit,
            .earn_minor = row->earn_minor,
            .earn_points = row->earn_points,
            .return_window_days = row->return_window_days,
            .excluded_categories = row->excluded_categories,
        };
        CHECK(currency_parse(row->currency, &policy->currency));
    }
    return ERR_OK;
}

static enum error_code fetch_numbers(struct batch *batch)
{
    struct order_number_take_rows rows;
    enum error_code code = order_number_take_fetch(batch->db, batch->arena, &rows);
    if (code)
        return code;
    CHECK(rows.count == batch->count);
    for (size_t i = 0; i < rows.count; i++)
        batch->orders[i]->number = rows.items[i].number;
    return ERR_OK;
}

static enum error_code lock_and_read(struct batch *batch)
{
    enum error_code code = pg_pipeline_begin(batch->db);
    if (!code)
        code = queue_reads(batch);
    if (!code)
        code = pg_pipeline_sync(batch->db);
    if (!code)
        code = pg_command_fetch(batch->db);
    if (!code)
        code = fetch_accounts(batch);
    if (!code)
        code = fetch_stored(batch);
    if (!code)
        code = fetch_carts(batch);
    if (!code)
        code = fetch_variants(batch);
    if (!code)
        code = fetch_stock(batch);
    if (!code)
        code = fetch_policies(batch);
    if (!code)
        code = fetch_numbers(batch);
    enum error_code end = pg_pipeline_end(batch->db);
    return code ? code : end;
}

/* ── from rows to the decision ── */

static int compare_by_key(const void *a, const void *b)
{
    const struct checkout_order *x = *(struct checkout_order *const *)a,
                                *y = *(struct checkout_order *const *)b;
    int order = uuid_compare(x->customer_id.uuid, y->customer_id.uuid);
    if (order)
        return order;
    size_t len = x->key.len < y->key.len ? x->key.len : y->key.len;
    order = memcmp(x->key.ptr, y->key.ptr, len);
    if (order)
        return order;
    if (x->key.len != y->key.len)
        return x->key.len < y->key.len ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number; /* numbers were given in order of arrival */
}

static void resolve(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct checkout_order *order = batch->orders[i];
        order->account = find_account(batch, order->customer_id);
        order->cart = order->has_cart ? find_cart(batch, order->cart_id) : NULL;
        order->policy = NULL;
        order->key_in_batch = false;
        for (size_t p = 0; p < batch->policy_count; p++)
            if (currency_equal(batch->policies[p].currency, order->currency))
                order->policy = &batch->policies[p];
        for (size_t l = 0; l < order->line_count; l++) {
            struct checkout_line *line = &order->lines[l];
            struct checkout_variant *variant = find_variant(batch, line->variant_id, order->currency);
            CHECK(variant);
            line->variant = batch->variant_found[variant - batch->variants] ? variant : NULL;
            line->stocks = find_stocks(batch, line->variant_id);
        }
    }
    if (batch->account_count == batch->count)
        return; /* no customer twice, so no key twice */
    struct checkout_order **sorted = ARENA_ARRAY(batch->arena, struct checkout_order *, batch->count);
    memcpy(sorted, batch->orders, batch->count * sizeof *sorted);
    qsort(sorted, batch->count, sizeof *sorted, compare_by_key);
    for (size_t i = 1; i < batch->count; i++)
        sorted[i]->key_in_batch = user_id_equal(sorted[i]->customer_id, sorted[i - 1]->customer_id) &&
                                  str_equal(sorted[i]->key, sorted[i - 1]->key);
}

/* ── answers and events ── */

static struct str render(const struct checkout_order *order, struct arena *arena)
{
    struct api_placed_order_lines_item *lines =
        ARENA_ARRAY(arena, struct api_placed_order_lines_item, order->line_count);
    for (size_t i = 0; i < order->line_count; i++) {
        const struct checkout_line *line = &order->lines[i];
        lines[i] = (struct api_placed_order_lines_item){
            .line_no = (int64_t)i + 1,
            .variant_id = line->variant_id,
            .sku = line->variant->sku,
            .title = line->variant->title,
            .quantity = line->quantity,
            .unit_price_minor = line->variant->price_minor,
            .total_minor = line->split.total_minor,
            .points = line->split.points,
            .points_value_minor = line->split.points_value_minor,
            .cash_minor = line->split.cash_minor,
        };
    }
    struct api_placed_order placed = {
        .id = order->order_id,
        .number = order->number,
        .state = STR("pending_payment"),
        .currency = currency_str(&order->currency),
        .subtotal_minor = order->subtotal_minor,
        .total_minor = order->subtotal_minor,
        .points = order->points,
        .points_value_minor = order->points_value_minor,
        .cash_minor = order->cash_minor,
        .earn_points = order->earn_points,
        .placed_at = order->placed_at_us,
        .expires_at = order->expires_at_us,
        .lines = {lines, order->line_count},
    };
    struct buf text = buf_new(BUF_DEFAULT_MAX);
    api_placed_order_encode(&text, &placed);
    CHECK(!text.overflow);
    struct str copy = arena_copy(arena, buf_str(&text));
    buf_free(&text);
    return copy;
}

static struct event placed_event(const struct checkout_order *order, struct arena *arena)
{
    char order_id[ID_TEXT_MAX], customer_id[ID_TEXT_MAX];
    order_id_text(order->order_id, order_id);
    user_id_text(order->customer_id, customer_id);
    return (struct event){
        .type = STR("order.placed"),
        .aggregate_id = order->order_id.uuid,
        .sequence = 1,
        .payload = arena_printf(
            arena,
            "{\"order_id\":\"%s\",\"number\":%lld,\"customer_id\":\"%s\",\"state\":\"pending_payment\","
            "\"sequence\":1,\"currency\":\"%s\",\"cash_minor\":%lld,\"points\":%lld}",
            order_id, (long long)order->number, customer_id, order->currency.code,
            (long long)order->cash_minor, (long long)order->points),
        .traceparent = order->traceparent,
    };
}

/* Products whose stock state changed: what caches show of them is out of date. */
static size_t stock_events(struct batch *batch, struct event *events)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->stocks_count; i++) {
        const struct checkout_stocks *stocks = &batch->stocks[i];
        int64_t available = 0;
        for (size_t s = 0; s < stocks->count; s++)
            available += stocks->items[s].available;
        if (stock_state(available) == stock_state(stocks->available_before))
            continue;
        events[count++] = (struct event){
            .type = STR("stock.changed"), .aggregate_id = stocks->product_id.uuid, .payload = STR("{}")};
    }
    return count;
}

/* ── apply ── */

/* The accepted orders of a batch. */
struct accepted {
    struct checkout_order **orders;
    struct str *answers;
    size_t count, line_count, part_count, cash_count, points_count, cart_count;
};

static void collect(struct batch *batch, struct accepted *accepted)
{
    accepted->orders = ARENA_ARRAY(batch->arena, struct checkout_order *, batch->count);
    accepted->answers = ARENA_ARRAY(batch->arena, struct str, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        struct checkout_order *order = batch->orders[i];
        struct checkout_command *command = batch->commands[i];
        if (order->outcome == CHECKOUT_REPLAYED) {
            command->answer = arena_copy(command->arena, order->stored.body);
            command->replayed = true;
        }
        if (order->outcome != CHECKOUT_ACCEPTED)
            continue;
        command->answer = render(order, command->arena);
        command->replayed = false;
        accepted->answers[accepted->count] = command->answer;
        accepted->orders[accepted->count++] = order;
        accepted->line_count += order->line_count;
        accepted->cash_count += order->cash_minor > 0;
        accepted->points_count += order->points > 0;
        accepted->cart_count += order->has_cart;
        for (size_t l = 0; l < order->line_count; l++)
            accepted->part_count += order->lines[l].part_count;
    }
}

static enum error_code queue_points(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->points_count, n = 0, holders = 0;
    struct account_id *held = ARENA_ARRAY(arena, struct account_id, batch->account_count);
    int64_t *sums = ARENA_ARRAY(arena, int64_t, batch->account_count);
    for (size_t i = 0; i < batch->account_count; i++)
        if (batch->accounts[i].hold > 0) {
            CHECK(batch->accounts[i].exists);
            held[holders] = batch->accounts[i].account_id;
            sums[holders++] = batch->accounts[i].hold;
        }
    struct uuid *roots = ARENA_ARRAY(arena, struct uuid, count);
    struct account_id *accounts = ARENA_ARRAY(arena, struct account_id, count);
    int64_t *points = ARENA_ARRAY(arena, int64_t, count);
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, count);
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        if (order->points == 0)
            continue;
        roots[n] = order->hold_id;
        accounts[n] = order->account->account_id;
        points[n] = order->points;
        orders[n++] = order->order_id;
    }
    enum error_code code = loyalty_account_hold_batch_queue(
        batch->db, (struct loyalty_account_hold_batch_args){{held, holders}, {sums, holders}});
    return code ? code
                : transfer_hold_batch_queue(
                      batch->db,
                      (struct transfer_hold_batch_args){{roots, n}, {accounts, n}, {points, n}, {orders, n}});
}

static enum error_code queue_stock(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t parts = accepted->part_count, n = 0;
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, parts);
    int16_t *line_nos = ARENA_ARRAY(arena, int16_t, parts);
    struct location_id *locations = ARENA_ARRAY(arena, struct location_id, parts);
    struct variant_id *variants = ARENA_ARRAY(arena, struct variant_id, parts);
    int32_t *quantities = ARENA_ARRAY(arena, int32_t, parts);
    for (size_t i = 0; i < accepted->count; i++)
        for (size_t l = 0; l < accepted->orders[i]->line_count; l++) {
            const struct checkout_line *line = &accepted->orders[i]->lines[l];
            for (size_t p = 0; p < line->part_count; p++, n++) {
                orders[n] = accepted->orders[i]->order_id;
                line_nos[n] = (int16_t)(l + 1);
                locations[n] = line->stocks->items[line->parts[p].stock].location_id;
                variants[n] = line->variant_id;
                quantities[n] = line->parts[p].quantity;
            }
        }
    CHECK(n == parts);
    /* one summed update per stock row, in the order in which they were locked */
    size_t rows = 0, at = 0;
    for (size_t i = 0; i < batch->stocks_count; i++)
        rows += batch->stocks[i].count;
    struct variant_id *row_variants = ARENA_ARRAY(arena, struct variant_id, rows);
    struct location_id *row_locations = ARENA_ARRAY(arena, struct location_id, rows);
    int32_t *row_quantities = ARENA_ARRAY(arena, int32_t, rows);
    for (size_t i = 0; i < batch->stocks_count; i++)
        for (size_t s = 0; s < batch->stocks[i].count; s++)
            if (batch->stocks[i].items[s].reserve > 0) {
                row_variants[at] = batch->stocks[i].variant_id;
                row_locations[at] = batch->stocks[i].items[s].location_id;
                row_quantities[at++] = batch->stocks[i].items[s].reserve;
            }
    enum error_code code = stock_reserve_batch_queue(
        batch->db,
        (struct stock_reserve_batch_args){{row_variants, at}, {row_locations, at}, {row_quantities, at}});
    return code ? code
                : reservation_insert_batch_queue(
                      batch->db,
                      (struct reservation_insert_batch_args){
                          {orders, n}, {line_nos, n}, {locations, n}, {variants, n}, {quantities, n}});
}

#define COLUMN(type, name, count) type *name = ARENA_ARRAY(arena, type, (count))

static enum error_code queue_orders(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t n = accepted->count;
    COLUMN(struct order_id, ids, n);
    COLUMN(int64_t, numbers, n);
    COLUMN(struct user_id, customers, n);
    COLUMN(struct str, currencies, n);
    COLUMN(int64_t, subtotals, n);
    COLUMN(int64_t, points, n);
    COLUMN(int64_t, points_values, n);
    COLUMN(int64_t, cash, n);
    COLUMN(int64_t, earned, n);
    COLUMN(struct opt_uuid, holds, n);
    COLUMN(int32_t, policies, n);
    COLUMN(struct str, addresses, n);
    COLUMN(struct opt_uuid, carts, n);
    for (size_t i = 0; i < n; i++) {
        const struct checkout_order *order = accepted->orders[i];
        ids[i] = order->order_id;
        numbers[i] = order->number;
        customers[i] = order->customer_id;
        currencies[i] = currency_str(&order->currency);
        subtotals[i] = order->subtotal_minor;
        points[i] = order->points;
        points_values[i] = order->points_value_minor;
        cash[i] = order->cash_minor;
        earned[i] = order->earn_points;
        holds[i] = (struct opt_uuid){order->points > 0, order->hold_id};
        policies[i] = order->policy->version;
        addresses[i] = order->address;
        carts[i] = (struct opt_uuid){order->has_cart, order->cart_id.uuid};
    }
    enum error_code code =
        order_insert_batch_queue(batch->db, (struct order_insert_batch_args){
                                                .ids = {ids, n},
                                                .numbers = {numbers, n},
                                                .customer_ids = {customers, n},
                                                .currencies = {currencies, n},
                                                .subtotal_minors = {subtotals, n},
                                                .total_minors = {subtotals, n},
                                                .points = {points, n},
                                                .points_value_minors = {points_values, n},
                                                .cash_minors = {cash, n},
                                                .earn_points = {earned, n},
                                                .hold_ids = {holds, n},
                                                .policy_versions = {policies, n},
                                                .addresses = {addresses, n},
                                                .cart_ids = {carts, n},
                                                .placed_at = accepted->orders[0]->placed_at_us,
                                                .expires_at = accepted->orders[0]->expires_at_us,
                                            });
    return code ? code
                : order_event_insert_batch_queue(
                      batch->db, (struct order_event_insert_batch_args){{ids, n}, {customers, n}});
}

static enum error_code queue_lines(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->line_count, n = 0;
    COLUMN(struct order_id, orders, count);
    COLUMN(int16_t, line_nos, count);
    COLUMN(struct product_id, products, count);
    COLUMN(struct variant_id, variants, count);
    COLUMN(struct vendor_id, vendors, count);
    COLUMN(struct str, skus, count);
    COLUMN(struct str, titles, count);
    COLUMN(int32_t, quantities, count);
    COLUMN(int64_t, prices, count);
    COLUMN(int64_t, totals, count);
    COLUMN(int64_t, points, count);
    COLUMN(int64_t, points_values, count);
    COLUMN(int64_t, cash, count);
    for (size_t i = 0; i < accepted->count; i++)
        for (size_t l = 0; l < accepted->orders[i]->line_count; l++, n++) {
            const struct checkout_line *line = &accepted->orders[i]->lines[l];
            orders[n] = accepted->orders[i]->order_id;
            line_nos[n] = (int16_t)(l + 1);
            products[n] = line->variant->product_id;
            variants[n] = line->variant_id;
            vendors[n] = line->variant->vendor_id;
            skus[n] = line->variant->sku;
            titles[n] = line->variant->title;
            quantities[n] = line->quantity;
            prices[n] = line->variant->price_minor;
            totals[n] = line->split.total_minor;
            points[n] = line->split.points;
            points_values[n] = line->split.points_value_minor;
            cash[n] = line->split.cash_minor;
        }
    return order_line_insert_batch_queue(batch->db, (struct order_line_insert_batch_args){
                                                        .order_ids = {orders, n},
                                                        .line_nos = {line_nos, n},
                                                        .product_ids = {products, n},
                                                        .variant_ids = {variants, n},
                                                        .vendor_ids = {vendors, n},
                                                        .skus = {skus, n},
                                                        .titles = {titles, n},
                                                        .quantities = {quantities, n},
                                                        .unit_price_minors = {prices, n},
                                                        .total_minors = {totals, n},
                                                        .points = {points, n},
                                                        .points_value_minors = {points_values, n},
                                                        .cash_minors = {cash, n},
                                                    });
}

static enum error_code queue_payments(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t count = accepted->cash_count, n = 0;
    COLUMN(struct payment_id, ids, count);
    COLUMN(struct order_id, orders, count);
    COLUMN(int64_t, amounts, count);
    COLUMN(struct str, currencies, count);
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        if (order->cash_minor == 0)
            continue;
        ids[n] = order->payment_id;
        orders[n] = order->order_id;
        amounts[n] = order->cash_minor;
        currencies[n++] = currency_str(&order->currency);
    }
    return payment_insert_batch_queue(
        batch->db, (struct payment_insert_batch_args){{ids, n}, {orders, n}, {amounts, n}, {currencies, n}});
}

static enum error_code queue_carts(struct batch *batch, const struct accepted *accepted)
{
    struct cart_id *carts = ARENA_ARRAY(batch->arena, struct cart_id, accepted->cart_count);
    size_t n = 0;
    for (size_t i = 0; i < accepted->count; i++)
        if (accepted->orders[i]->has_cart)
            carts[n++] = accepted->orders[i]->cart_id;
    return cart_spend_batch_queue(batch->db, (struct cart_spend_batch_args){{carts, n}});
}

static enum error_code queue_keys(struct batch *batch, const struct accepted *accepted)
{
    struct arena *arena = batch->arena;
    size_t n = accepted->count;
    COLUMN(struct user_id, owners, n);
    COLUMN(struct str, keys, n);
    COLUMN(struct str, hashes, n);
    for (size_t i = 0; i < n; i++) {
        owners[i] = accepted->orders[i]->customer_id;
        keys[i] = accepted->orders[i]->key;
        hashes[i] = accepted->orders[i]->body_hash;
    }
    return checkout_key_insert_batch_queue(
        batch->db,
        (struct checkout_key_insert_batch_args){{owners, n}, {keys, n}, {hashes, n}, {accepted->answers, n}});
}

static enum error_code queue_events(struct batch *batch, const struct accepted *accepted)
{
    struct event *events = ARENA_ARRAY(batch->arena, struct event, 2 * accepted->count + batch->stocks_count);
    size_t count = 0;
    for (size_t i = 0; i < accepted->count; i++) {
        const struct checkout_order *order = accepted->orders[i];
        events[count++] = placed_event(order, batch->arena);
        if (order->cash_minor == 0)
            events[count++] = (struct event){.type = STR("checkout.paid_with_points"),
                                             .aggregate_id = order->order_id.uuid,
                                             .payload = STR("{}"),
                                             .traceparent = order->traceparent};
    }
    count += stock_events(batch, events + count);
    return outbox_publish_queue(batch->db, batch->arena, events, count);
}

static enum error_code fetch_execs(struct batch *batch, const struct accepted *accepted)
{
    struct pg *db = batch->db;
    enum error_code code = ERR_OK;
    if (accepted->points_count > 0) {
        code = loyalty_account_hold_batch_fetch(db, NULL);
        if (!code)
            code = transfer_hold_batch_fetch(db, NULL);
    }
    if (!code)
        code = stock_reserve_batch_fetch(db, NULL);
    if (!code)
        code = reservation_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_event_insert_batch_fetch(db, NULL);
    if (!code)
        code = order_line_insert_batch_fetch(db, NULL);
    if (!code && accepted->cash_count > 0)
        code = payment_insert_batch_fetch(db, NULL);
    if (!code && accepted->cart_count > 0)
        code = cart_spend_batch_fetch(db, NULL);
    if (!code)
        code = checkout_key_insert_batch_fetch(db, NULL);
    if (!code)
        code = outbox_publish_fetch(db);
    return code;
}

static enum error_code queue_writes(struct batch *batch, const struct accepted *accepted)
{
    enum error_code code = ERR_OK;
    if (accepted->points_count > 0)
        code = queue_points(batch, accepted);
    if (!code)
        code = queue_stock(batch, accepted);
    if (!code)
        code = queue_orders(batch, accepted);
    if (!code)
        code = queue_lines(batch, accepted);
    if (!code && accepted->cash_count > 0)
        code = queue_payments(batch, accepted);
    if (!code && accepted->cart_count > 0)
        code = queue_carts(batch, accepted);
    if (!code)
        code = queue_keys(batch, accepted);
    if (!code)
        code = queue_events(batch, accepted);
    return code;
}

static enum error_code apply(struct batch *batch, const struct accepted *accepted)
{
    if (accepted->count == 0)
        return pg_execute(batch->db, "ROLLBACK");
    enum error_code code = pg_pipeline_begin(batch->db);
    if (!code)
        code = queue_writes(batch, accepted);
    if (!code)
        code = pg_command_queue(batch->db, "COMMIT");
    if (!code)
        code = pg_pipeline_sync(batch->db);
    if (!code)
        code = fetch_execs(batch, accepted);
    if (!code)
        code = pg_command_fetch(batch->db);
    enum error_code end = pg_pipeline_end(batch->db);
    return code ? code : end;
}

enum error_code checkout_batch_run(struct pg *db, struct arena *arena,
                                   struct checkout_command *const *commands, size_t count)
{
    struct batch batch = {.db = db, .arena = arena, .commands = commands, .count = count};
    CHECK(count > 0);
    batch.orders = ARENA_ARRAY(arena, struct checkout_order *, count);
    for (size_t i = 0; i < count; i++) {
        batch.orders[i] = &commands[i]->order;
        batch.orders[i]->stored = (struct checkout_stored){0};
    }
    list_keys(&batch);
    enum error_code code = lock_and_read(&batch);
    if (!code) {
        resolve(&batch);
        checkout_decide(batch.orders, count);
        struct accepted accepted = {0};
        collect(&batch, &accepted);
        code = apply(&batch, &accepted);
    }
    if (code && code != ERR_DATABASE) {
        struct error first = *pg_error(db); /* ROLLBACK must not hide it */
        if (pg_execute(db, "ROLLBACK"))
            pg_disconnect(db);
        (void)first;
    }
    return code;
}
