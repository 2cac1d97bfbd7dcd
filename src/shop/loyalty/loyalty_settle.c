/* What becomes of points when orders are paid, one or hundreds. A hold is closed under its order's lock, so
 * that it can be read first and be trusted: captures and earnings are then one list of transfers, and each
 * account is moved once. */
#include "shop/loyalty/loyalty.h"

#include "base/check.h"
#include "loyalty_sql.h"

#include <stdlib.h>

static bool earns(const struct loyalty_settlement *item)
{
    return item->earn_points > 0;
}

static bool holds(const struct loyalty_settlement *item)
{
    return !uuid_is_zero(item->hold_id);
}

/* Whose account no hold names. */
static bool earns_alone(const struct loyalty_settlement *item)
{
    return earns(item) && !holds(item);
}

/* Statements about nothing are not sent. */
static size_t count_of(const struct loyalty_settlement *items, size_t count,
                       bool (*is)(const struct loyalty_settlement *item))
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += is(&items[i]);
    return n;
}

static int compare_users(const void *a, const void *b)
{
    return uuid_compare(((const struct loyalty_account_ids_row *)a)->user_id.uuid,
                        ((const struct loyalty_account_ids_row *)b)->user_id.uuid);
}

static int compare_roots(const void *a, const void *b)
{
    return uuid_compare(*(const struct uuid *)a, *(const struct uuid *)b);
}

static int compare_holds(const void *a, const void *b)
{
    const struct transfer_hold_list_row *left = a, *right = b;
    int order = uuid_compare(left->root_id, right->root_id);
    return order ? order : left->step - right->step;
}

static enum error_code queue_accounts(struct pg *db, struct arena *arena,
                                      const struct loyalty_settlement *items, size_t count)
{
    struct user_id *users = ARENA_ARRAY(arena, struct user_id, count);
    size_t earning = 0;
    for (size_t i = 0; i < count; i++)
        if (earns_alone(&items[i]))
            users[earning++] = items[i].user_id;
    if (earning == 0)
        return ERR_OK;
    return loyalty_account_ids_queue(db, (struct loyalty_account_ids_args){{users, earning}});
}

static enum error_code fetch_accounts(struct pg *db, struct arena *arena, struct loyalty_settlement *items,
                                      size_t count)
{
    struct loyalty_account_ids_rows rows;
    if (count_of(items, count, earns_alone) == 0)
        return ERR_OK;
    enum error_code code = loyalty_account_ids_fetch(db, arena, &rows);
    if (code || rows.count == 0)
        return code;
    qsort(rows.items, rows.count, sizeof *rows.items, compare_users);
    for (size_t i = 0; i < count; i++) {
        struct loyalty_account_ids_row key = {.user_id = items[i].user_id};
        const struct loyalty_account_ids_row *found =
            bsearch(&key, rows.items, rows.count, sizeof key, compare_users);
        if (found)
            items[i].account_id = found->id;
    }
    return ERR_OK;
}

static enum error_code queue_holds(struct pg *db, struct arena *arena, const struct loyalty_settlement *items,
                                   size_t count)
{
    struct uuid *roots = ARENA_ARRAY(arena, struct uuid, count);
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        if (holds(&items[i]))
            roots[n++] = items[i].hold_id;
    if (n == 0)
        return ERR_OK;
    qsort(roots, n, sizeof *roots, compare_roots);
    return transfer_hold_list_queue(db, (struct transfer_hold_list_args){{roots, n}});
}

static enum error_code fetch_holds(struct pg *db, struct arena *arena, struct loyalty_settlement *items,
                                   size_t count)
{
    struct transfer_hold_list_rows rows;
    if (count_of(items, count, holds) == 0)
        return ERR_OK;
    enum error_code code = transfer_hold_list_fetch(db, arena, &rows);
    if (code)
        return code;
    if (rows.count == 0)
        return ERR_CONFLICT;
    qsort(rows.items, rows.count, sizeof *rows.items, compare_holds);
    for (size_t i = 0; i < count; i++) {
        if (!holds(&items[i]))
            continue;
        const struct transfer_hold_list_row key = {.root_id = items[i].hold_id};
        const struct transfer_hold_list_row *hold =
            bsearch(&key, rows.items, rows.count, sizeof key, compare_holds);
        if (!hold || !str_equal(hold->phase, STR("pending")))
            return ERR_CONFLICT;
        const struct transfer_hold_list_row *closing = hold + 1;
        bool closed = closing < rows.items + rows.count && uuid_compare(closing->root_id, key.root_id) == 0;
        if (closed && !str_equal(closing->phase, STR("posted")))
            return ERR_CONFLICT;
        items[i].account_id = hold->account_id;
        items[i].held_points = closed ? 0 : hold->points;
    }
    return ERR_OK;
}

enum error_code loyalty_settle_read_queue(struct pg *db, struct arena *arena,
                                          const struct loyalty_settlement *items, size_t count)
{
    enum error_code code = queue_accounts(db, arena, items, count);
    return code ? code : queue_holds(db, arena, items, count);
}

enum error_code loyalty_settle_read_fetch(struct pg *db, struct arena *arena,
                                          struct loyalty_settlement *items, size_t count)
{
    enum error_code code = fetch_accounts(db, arena, items, count);
    return code ? code : fetch_holds(db, arena, items, count);
}

enum error_code loyalty_accounts_ensure(struct pg *db, struct arena *arena, struct loyalty_settlement *items,
                                        size_t count)
{
    struct user_id *users = ARENA_ARRAY(arena, struct user_id, count);
    struct account_id *fresh = ARENA_ARRAY(arena, struct account_id, count);
    size_t missing = 0;
    for (size_t i = 0; i < count; i++)
        if (earns_alone(&items[i]) && uuid_is_zero(items[i].account_id.uuid)) {
            users[missing] = items[i].user_id;
            fresh[missing++] = account_id_new();
        }
    if (missing == 0)
        return ERR_OK;
    enum error_code code = pg_pipeline_begin(db);
    if (code)
        return code;
    code = loyalty_account_insert_batch_queue(
        db, (struct loyalty_account_insert_batch_args){{fresh, missing}, {users, missing}});
    if (!code)
        code = queue_accounts(db, arena, items, count);
    if (!code)
        code = pg_pipeline_sync(db);
    if (!code)
        code = loyalty_account_insert_batch_fetch(db, NULL);
    if (!code)
        code = fetch_accounts(db, arena, items, count);
    enum error_code end = pg_pipeline_end(db);
    return code ? code : end;
}

static bool captures(const struct loyalty_settlement *item)
{
    return item->held_points > 0;
}

static bool moves(const struct loyalty_settlement *item)
{
    return captures(item) || earns(item);
}

static enum error_code queue_earnings(struct pg *db, struct arena *arena,
                                      const struct loyalty_settlement *items, const struct uuid *roots,
                                      size_t count)
{
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, count);
    struct uuid *earned = ARENA_ARRAY(arena, struct uuid, count);
    struct account_id *accounts = ARENA_ARRAY(arena, struct account_id, count);
    int64_t *points = ARENA_ARRAY(arena, int64_t, count);
    int32_t *versions = ARENA_ARRAY(arena, int32_t, count);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (!earns(&items[i]))
            continue;
        CHECK(!uuid_is_zero(items[i].account_id.uuid));
        orders[n] = items[i].order_id;
        earned[n] = roots[i];
        accounts[n] = items[i].account_id;
        points[n] = items[i].earn_points;
        versions[n++] = items[i].policy_version;
    }
    if (n == 0)
        return ERR_OK;
    return earning_insert_batch_queue(
        db, (struct earning_insert_batch_args){
                {orders, n}, {earned, n}, {accounts, n}, {points, n}, {versions, n}});
}

static enum error_code queue_transfers(struct pg *db, struct arena *arena,
                                       const struct loyalty_settlement *items, const struct uuid *roots,
                                       size_t count)
{
    size_t most = 2 * count, n = 0;
    struct uuid *ids = ARENA_ARRAY(arena, struct uuid, most);
    int16_t *steps = ARENA_ARRAY(arena, int16_t, most);
    struct account_id *debits = ARENA_ARRAY(arena, struct account_id, most);
    struct account_id *credits = ARENA_ARRAY(arena, struct account_id, most);
    int64_t *points = ARENA_ARRAY(arena, int64_t, most);
    struct str *phases = ARENA_ARRAY(arena, struct str, most);
    struct str *kinds = ARENA_ARRAY(arena, struct str, most);
    struct order_id *orders = ARENA_ARRAY(arena, struct order_id, most);
    for (size_t i = 0; i < most; i++) {
        const struct loyalty_settlement *item = &items[i % count];
        bool capture = i < count;
        if (capture ? !captures(item) : !earns(item))
            continue;
        ids[n] = capture ? item->hold_id : roots[i % count];
        steps[n] = capture;
        debits[n] = capture ? item->account_id : loyalty_account_issued;
        credits[n] = capture ? loyalty_account_redeemed : item->account_id;
        points[n] = capture ? item->held_points : item->earn_points;
        phases[n] = capture ? STR("posted") : STR("pending");
        kinds[n] = capture ? STR("redeem") : STR("earn");
        orders[n++] = item->order_id;
    }
    struct transfer_settle_batch_args args = {.root_ids = {ids, n},
                                              .steps = {steps, n},
                                              .debit_account_ids = {debits, n},
                                              .credit_account_ids = {credits, n},
                                              .points = {points, n},
                                              .phases = {phases, n},
                                              .kinds = {kinds, n},
                                              .order_ids = {orders, n}};
    return transfer_settle_batch_queue(db, args);
}

/* What an account changes by: one item an account, sorted, which is the order in which their rows are locked
 * by being updated. */
struct change {
    struct account_id account_id;
    int64_t captured, incoming;
};

static int compare_changes(const void *a, const void *b)
{
    return uuid_compare(((const struct change *)a)->account_id.uuid,
                        ((const struct change *)b)->account_id.uuid);
}

static enum error_code queue_changes(struct pg *db, struct arena *arena,
                                     const struct loyalty_settlement *items, size_t count)
{
    struct change *each = ARENA_ARRAY(arena, struct change, count);
    struct account_id *accounts = ARENA_ARRAY(arena, struct account_id, count);
    int64_t *captured = ARENA_ARRAY(arena, int64_t, count);
    int64_t *incoming = ARENA_ARRAY(arena, int64_t, count);
    size_t n = 0, sums = 0;
    for (size_t i = 0; i < count; i++)
        if (moves(&items[i]))
            each[n++] = (struct change){items[i].account_id, items[i].held_points, items[i].earn_points};
    qsort(each, n, sizeof *each, compare_changes);
    for (size_t i = 0; i < n; i++) {
        if (sums == 0 || compare_changes(&each[i], &each[i - 1]) != 0) {
            accounts[sums] = each[i].account_id;
            captured[sums] = incoming[sums] = 0;
            sums++;
        }
        captured[sums - 1] += each[i].captured;
        incoming[sums - 1] += each[i].incoming;
    }
    return loyalty_account_settle_batch_queue(
        db, (struct loyalty_account_settle_batch_args){{accounts, sums}, {captured, sums}, {incoming, sums}});
}

enum error_code loyalty_settle_queue(struct pg *db, struct arena *arena,
                                     const struct loyalty_settlement *items, size_t count)
{
    if (count_of(items, count, moves) == 0)
        return ERR_OK;
    struct uuid *roots = ARENA_ARRAY(arena, struct uuid, count); /* of what is earned */
    for (size_t i = 0; i < count; i++)
        roots[i] = uuid_new();
    enum error_code code = queue_earnings(db, arena, items, roots, count);
    if (!code)
        code = queue_transfers(db, arena, items, roots, count);
    return code ? code : queue_changes(db, arena, items, count);
}

enum error_code loyalty_settle_fetch(struct pg *db, const struct loyalty_settlement *items, size_t count)
{
    if (count_of(items, count, moves) == 0)
        return ERR_OK;
    enum error_code code = count_of(items, count, earns) > 0 ? earning_insert_batch_fetch(db, NULL) : ERR_OK;
    if (!code)
        code = transfer_settle_batch_fetch(db, NULL);
    return code ? code : loyalty_account_settle_batch_fetch(db, NULL);
}
