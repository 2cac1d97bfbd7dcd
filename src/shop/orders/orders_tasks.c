/* What happens to orders by itself: orders without cash are confirmed. Unpaid ones expire by
 * payments_tasks.c, which asks the gateway first. */
#include "shop/orders/orders.h"
#include "shop/orders/orders_internal.h"

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

static const char *const on_paid_with_points[] = {"checkout.paid_with_points", NULL};

const struct task_definition order_tasks[] = {
    {"order_confirm_without_cash", on_paid_with_points, confirm_without_cash, TASK_TRANSACTION, TASK_HIGH, 0,
     0},
    {NULL},
};
