/* What happens to orders by itself: orders without cash are confirmed, unpaid ones expire. */
#include "base/clock.h"
#include "base/log.h"
#include "orders_sql.h"
#include "shop/orders/orders.h"
#include "shop/orders/orders_internal.h"

#define EXPIRE_AT_ONCE_MAX 200

/* Points paid for all of it: there is nothing to wait for (CHK-4). */
static enum error_code confirm_without_cash(struct task_run *run)
{
    struct order order;
    enum error_code code =
        order_lock(run->db, run->arena, (struct order_id){run->event.aggregate_id}, &order);
    if (code == ERR_NOT_FOUND)
        return task_fail_for_good(run, "the order does not exist");
    if (code != ERR_OK)
        return code;
    if (order.cash.minor > 0 || order.state != ORDER_PENDING_PAYMENT)
        return ERR_OK;
    struct order_cause cause = {.actor = ACTOR_SYSTEM, .reason = STR("Paid with points alone")};
    return order_confirm(run->db, run->arena, &order, &cause);
}

struct expiry {
    struct arena *arena;
    struct order_id order_id;
    bool expired;
};

static enum error_code expire_one(struct pg *db, void *context)
{
    struct expiry *expiry = context;
    expiry->expired = false;
    struct order order;
    enum error_code code = order_lock(db, expiry->arena, expiry->order_id, &order);
    if (code != ERR_OK)
        return code;
    /* It may have been paid, or begun anew, since it was listed. */
    if (order.state != ORDER_PENDING_PAYMENT || order.expires_at_us == 0 ||
        order.expires_at_us > clock_wall_us())
        return ERR_OK;
    struct order_cause cause = {.actor = ACTOR_SYSTEM, .reason = STR("Not paid in time")};
    code = order_release(db, expiry->arena, &order, ORDER_EXPIRED, &cause);
    expiry->expired = code == ERR_OK;
    return code;
}

static enum error_code expire(struct task_run *run)
{
    struct order_expired_list_rows rows;
    enum error_code code =
        order_expired_list(run->db, run->arena, (struct order_expired_list_args){EXPIRE_AT_ONCE_MAX}, &rows);
    if (code != ERR_OK)
        return code;
    size_t expired = 0;
    for (size_t i = 0; i < rows.count; i++) {
        struct expiry expiry = {.arena = run->arena, .order_id = rows.items[i].id};
        enum error_code one = pg_transaction(run->db, expire_one, &expiry);
        if (one != ERR_OK && code == ERR_OK)
            code = one; /* the others are tried all the same */
        expired += expiry.expired;
    }
    if (expired > 0)
        log_write(LOG_INFO, "unpaid orders expired", "\"orders\":%zu", expired);
    return code;
}

static const char *const on_placed[] = {"order.placed", NULL};

const struct task_definition order_tasks[] = {
    {"order_confirm_without_cash", on_placed, confirm_without_cash, TASK_TRANSACTION, TASK_HIGH, 0, 0},
    {"order_expire", NULL, expire, TASK_FREE, TASK_HIGH, 0, 0},
    {NULL},
};

const struct schedule_definition order_schedules[] = {
    {"order_expire", 5, "gives the stock and points of orders that were not paid in time back"},
    {NULL},
};
