/* The first half of a batch. Locks are taken in the order that the whole shop keeps (customers, ledger
 * accounts, carts, stock rows, each in key order), so that batches of several lanes and servers and single
 * transactions of other modules wait for each other without deadlock. Lists are sorted arrays with binary
 * search: a batch has a few hundred entries. */
#include "shop/checkout/batch_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "cart_sql.h"
#include "checkout_sql.h"
#include "inventory_sql.h"
#include "loyalty_sql.h"
#include "pricing_sql.h"

#include <stdlib.h>

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
    batch->variant_known = ARENA_ARRAY(arena, bool, batch->variant_count);
    batch->goods = ARENA_ARRAY(arena, struct goods, batch->variant_count);
    batch_sales_list(&batch->sales, arena, batch->orders, batch->count);
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

/* ── what is known ── */

/* One place of stock, with plenty. False: the variant is known in two currencies, but not the same of it. */
static bool take_stock(struct batch *batch, const struct goods *goods)
{
    struct checkout_stocks *stocks = find_stocks(batch, goods->variant.variant_id);
    if (stocks->count > 0)
        return stocks->items[0].goods == goods->number &&
               location_id_equal(stocks->items[0].location_id, goods->location_id);
    stocks->product_id = goods->variant.product_id;
    stocks->items = ARENA_NEW(batch->arena, struct checkout_stock);
    stocks->items[0] = (struct checkout_stock){
        .location_id = goods->location_id, .available = goods->available, .goods = goods->number};
    stocks->count = 1;
    return goods->available >= GOODS_PLENTY;
}

static void take_known(struct batch *batch)
{
    bool all = !batch->unbelieving;
    for (size_t i = 0; i < batch->variant_count && !batch->unbelieving; i++) {
        struct checkout_variant *variant = &batch->variants[i];
        batch->variant_known[i] = batch->variant_found[i] = known_goods_find(
            variant->variant_id, variant->currency, batch->began_us, batch->arena, &batch->goods[i]);
        if (batch->variant_known[i])
            *variant = batch->goods[i].variant;
        all = batch->variant_known[i] && take_stock(batch, &batch->goods[i]) && all;
    }
    batch->form = all ? BATCH_KNOWN : BATCH_LOCKED;
    for (size_t i = 0; i < batch->stocks_count && !all; i++)
        batch->stocks[i] = (struct checkout_stocks){.variant_id = batch->stocks[i].variant_id,
                                                    .product_id = batch->stocks[i].product_id};
}

/* The stock is locked now: whether goods that were known are those of the row's number. What is not is
 * forgotten. */
static void prove_known(struct batch *batch)
{
    for (size_t i = 0; i < batch->variant_count; i++) {
        const struct goods *goods = &batch->goods[i];
        if (!batch->variant_known[i])
            continue;
        const struct checkout_stocks *stocks = find_stocks(batch, goods->variant.variant_id);
        bool proven = false;
        for (size_t s = 0; s < stocks->count; s++)
            proven |= location_id_equal(stocks->items[s].location_id, goods->location_id) &&
                      stocks->items[s].goods == goods->number;
        if (!proven) {
            known_goods_drop(goods->variant.variant_id, goods->variant.currency);
            batch->outdated = true;
        }
    }
}

/* What was read under locks is known from now on. */
static void keep_known(struct batch *batch)
{
    for (size_t i = 0; i < batch->variant_count && !batch->outdated; i++) {
        const struct checkout_variant *variant = &batch->variants[i];
        const struct checkout_stocks *stocks = find_stocks(batch, variant->variant_id);
        if (!batch->variant_found[i] || !variant->for_sale || !variant->has_price || stocks->count == 0)
            continue;
        const struct checkout_stock *first = &stocks->items[0];
        struct goods *goods = &batch->goods[i];
        if (batch->variant_known[i] && location_id_equal(goods->location_id, first->location_id) &&
            (goods->available >= GOODS_PLENTY) == (first->available >= GOODS_PLENTY))
            continue;
        goods->variant = *variant;
        goods->location_id = first->location_id;
        goods->number = first->goods;
        goods->available = first->available;
        known_goods_keep(goods);
    }
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

/* Stock before goods: whoever changes goods moves the number on the stock row, and so cannot come in between.
 */
static enum error_code queue_stock_and_goods(struct batch *batch)
{
    struct arena *arena = batch->arena;
    struct variant_id *stocked = ARENA_ARRAY(arena, struct variant_id, batch->stocks_count);
    for (size_t i = 0; i < batch->stocks_count; i++)
        stocked[i] = batch->stocks[i].variant_id;
    struct variant_id *unknown = ARENA_ARRAY(arena, struct variant_id, batch->variant_count);
    for (size_t i = 0; i < batch->variant_count; i++) {
        size_t n = batch->unknown_count;
        struct variant_id id = batch->variants[i].variant_id;
        if (!batch->variant_known[i] && (n == 0 || !variant_id_equal(unknown[n - 1], id)))
            unknown[batch->unknown_count++] = id;
    }
    enum error_code code =
        stock_lock_batch_queue(batch->db, (struct stock_lock_batch_args){{stocked, batch->stocks_count}});
    if (code || batch->unknown_count == 0)
        return code;
    struct str *currencies = ARENA_ARRAY(arena, struct str, batch->variant_count);
    size_t currency_count = list_currencies(batch, currencies);
    return checkout_variant_batch_queue(
        batch->db,
        (struct checkout_variant_batch_args){{unknown, batch->unknown_count}, {currencies, currency_count}});
}

/* Of orders that spend miles; with everything else locked, of all, since a refusal tells of the balance. The
 * others' accounts would only be held from confirmations, which move them. */
static enum error_code queue_accounts(struct batch *batch)
{
    struct user_id *users = ARENA_ARRAY(batch->arena, struct user_id, batch->count);
    for (size_t i = 0; i < batch->count; i++)
        if (batch->form == BATCH_LOCKED || batch->orders[i]->points > 0)
            users[batch->spender_count++] = batch->orders[i]->customer_id;
    if (batch->spender_count == 0)
        return ERR_OK;
    return loyalty_account_lock_batch_queue(
        batch->db, (struct loyalty_account_lock_batch_args){{users, batch->spender_count}});
}

static void list_debtors(struct batch *batch)
{
    batch->debtors = ARENA_ARRAY(batch->arena, struct user_id, batch->account_count);
    for (size_t i = 0; order_unpaid_is_limited() && i < batch->count; i++)
        find_account(batch, batch->orders[i]->customer_id)->unpaid_limited |= !batch->orders[i]->of_sale;
    for (size_t i = 0; i < batch->account_count; i++)
        if (batch->accounts[i].unpaid_limited)
            batch->debtors[batch->debtor_count++] = batch->accounts[i].user_id;
}

static enum error_code queue_reads(struct batch *batch)
{
    struct arena *arena = batch->arena;
    struct user_id *owners = ARENA_ARRAY(arena, struct user_id, batch->count);
    struct str *keys = ARENA_ARRAY(arena, struct str, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        owners[i] = batch->orders[i]->customer_id;
        keys[i] = batch->orders[i]->key;
    }
    struct cart_id *carts = ARENA_ARRAY(arena, struct cart_id, batch->cart_count);
    for (size_t i = 0; i < batch->cart_count; i++)
        carts[i] = batch->carts[i].cart_id;

    struct pg *db = batch->db;
    enum error_code code = pg_command_queue(db, "BEGIN");
    list_debtors(batch);
    if (!code && batch->debtor_count > 0)
        code = order_unpaid_lock_queue(db, batch->debtors, batch->debtor_count);
    if (!code)
        code = queue_accounts(batch);
    if (!code && batch->cart_count > 0)
        code = cart_lock_batch_queue(db, (struct cart_lock_batch_args){{carts, batch->cart_count}});
    if (!code)
        code = batch_sales_queue_reads(&batch->sales, db, arena);
    if (!code && batch->form == BATCH_LOCKED)
        code = queue_stock_and_goods(batch);
    if (!code && batch->debtor_count > 0)
        code = order_unpaid_queue(db, batch->debtors, batch->debtor_count);
    if (!code)
        code = checkout_key_batch_queue(
            db, (struct checkout_key_batch_args){{owners, batch->count}, {keys, batch->count}});
    if (!code)
        code = checkout_number_batch_queue(db, (struct checkout_number_batch_args){(int32_t)batch->count});
    return code;
}

static enum error_code fetch_accounts(struct batch *batch)
{
    struct loyalty_account_lock_batch_rows rows;
    if (batch->spender_count == 0)
        return ERR_OK;
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

static enum error_code fetch_variants(struct batch *batch)
{
    struct checkout_variant_batch_rows rows = {0};
    if (batch->unknown_count == 0)
        return ERR_OK;
    enum error_code code = checkout_variant_batch_fetch(batch->db, batch->arena, &rows);
    for (size_t i = 0; !code && i < rows.count; i++) {
        const struct checkout_variant_batch_row *row = &rows.items[i];
        struct currency currency;
        CHECK(currency_parse(row->currency, &currency));
        struct checkout_variant *variant = find_variant(batch, row->variant_id, currency);
        if (!variant)
            continue; /* asked for in another currency only */
        size_t at = (size_t)(variant - batch->variants);
        if (batch->variant_known[at])
            continue;
        batch->variant_found[at] = true;
        batch->goods[at].good_until_us =
            row->good_for_us.present ? batch->began_us + row->good_for_us.value : INT64_MAX;
        variant->product_id = row->product_id;
        variant->vendor_id = row->vendor_id;
        variant->sku = row->sku;
        variant->title = row->title;
        variant->for_sale = row->for_sale;
        variant->has_price = row->amount_minor.present;
        variant->price_minor = row->amount_minor.value;
        variant->tender = miles_tender_parse(row->tender);
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
            .goods = rows.items[i].goods,
        };
        stocks->count++;
        stocks->available_before += items[i].available;
    }
    for (size_t i = 0; i < batch->stocks_count; i++)
        if (batch->stocks[i].count > 1)
            qsort(batch->stocks[i].items, batch->stocks[i].count, sizeof *items, compare_priority);
    return ERR_OK;
}

static enum error_code read_policies(struct batch *batch)
{
    struct miles_policy_all_rows rows;
    enum error_code code = miles_policy_all(batch->db, batch->arena, &rows);
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
    known_rules_keep(batch->policies, batch->policy_count);
    return ERR_OK;
}

static enum error_code fetch_numbers(struct batch *batch, int32_t *policy_version)
{
    struct checkout_number_batch_rows rows;
    enum error_code code = checkout_number_batch_fetch(batch->db, batch->arena, &rows);
    if (code)
        return code;
    CHECK(rows.count == batch->count);
    for (size_t i = 0; i < rows.count; i++)
        batch->orders[i]->number = rows.items[i].number;
    *policy_version = rows.items[0].policy_version;
    return ERR_OK;
}

static enum error_code fetch_unpaid(struct batch *batch)
{
    struct order_unpaid *unpaid = NULL;
    size_t count = 0;
    if (batch->debtor_count == 0)
        return ERR_OK;
    enum error_code code = order_unpaid_fetch(batch->db, batch->arena, &unpaid, &count);
    for (size_t i = 0; !code && i < count; i++)
        find_account(batch, unpaid[i].customer_id)->unpaid = unpaid[i];
    return code;
}

static enum error_code lock_and_read(struct batch *batch)
{
    int32_t policy_version = 0;
    enum error_code code = pg_pipeline_begin(batch->db);
    if (!code)
        code = queue_reads(batch);
    if (!code)
        code = pg_pipeline_sync(batch->db);
    if (!code)
        code = pg_command_fetch(batch->db);
    if (!code && batch->debtor_count > 0)
        code = order_unpaid_lock_fetch(batch->db, batch->arena);
    if (!code)
        code = fetch_accounts(batch);
    if (!code)
        code = fetch_carts(batch);
    if (!code)
        code = batch_sales_fetch_reads(&batch->sales, batch->db, batch->arena);
    if (!code && batch->form == BATCH_LOCKED)
        code = fetch_stock(batch);
    if (!code && batch->form == BATCH_LOCKED)
        code = fetch_variants(batch);
    if (!code)
        code = fetch_unpaid(batch);
    if (!code)
        code = fetch_stored(batch);
    if (!code)
        code = fetch_numbers(batch, &policy_version);
    enum error_code end = pg_pipeline_end(batch->db);
    if (!code)
        code = end ? end : batch_answers_read(batch);
    if (code)
        return code;
    return known_rules_find(policy_version, batch->arena, &batch->policies, &batch->policy_count)
               ? ERR_OK
               : read_policies(batch);
}

/* ── from rows to the decision ── */

int batch_compare_keys(const void *a, const void *b)
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
        batch_sales_resolve(&batch->sales, order);
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
    qsort(sorted, batch->count, sizeof *sorted, batch_compare_keys);
    for (size_t i = 1; i < batch->count; i++)
        sorted[i]->key_in_batch = user_id_equal(sorted[i]->customer_id, sorted[i - 1]->customer_id) &&
                                  str_equal(sorted[i]->key, sorted[i - 1]->key);
}

enum error_code checkout_batch_read(struct batch *batch)
{
    batch->began_us = clock_monotonic_us();
    list_keys(batch);
    take_known(batch);
    enum error_code code = lock_and_read(batch);
    if (code)
        return code;
    if (batch->form == BATCH_LOCKED) {
        prove_known(batch);
        keep_known(batch);
    }
    resolve(batch);
    return ERR_OK;
}
