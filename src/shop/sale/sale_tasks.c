/* What an order that came to nothing had of a sale is sold again. The claim's state makes it happen once,
 * however often and in whatever order the news comes: orders of a sale are not begun anew (order_reacquire
 * refuses), so what is given back stays given back. */
#include "sale_sql.h"
#include "shop/sale/sale_internal.h"

static enum error_code give_back(struct task_run *run)
{
    struct order_id order_id = {run->event.aggregate_id};
    struct sale_claim_find_row claim;
    bool found;
    enum error_code code =
        sale_claim_find(run->db, run->arena, (struct sale_claim_find_args){order_id}, &claim, &found);
    if (code || !found || !claim.taken)
        return code;
    struct sale_lock_row sale;
    code = sale_lock(run->db, run->arena, (struct sale_lock_args){claim.sale_id}, &sale, &found);
    if (code)
        return code;
    if (!found)
        return task_fail_for_good(run, "the claim is of a sale that does not exist");
    int64_t released;
    code = sale_claim_release(run->db, (struct sale_claim_release_args){order_id, SALE_REOPEN_S}, &released);
    if (code || released == 0 || sale.over || sale.sold < sale.quantity)
        return code;
    struct event event = {
        .type = STR("sale.changed"), .aggregate_id = claim.sale_id.uuid, .payload = STR("{}")};
    return outbox_publish(run->db, &event, NULL);
}

static const char *const on_release[] = {"order.payment_failed", "order.expired", "order.cancelled", NULL};

const struct task_definition sale_tasks[] = {
    {"sale_give_back", on_release, give_back, TASK_TRANSACTION, TASK_HIGH, 0, 0},
    {NULL},
};
