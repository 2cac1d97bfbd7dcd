/* A batch: one transaction around a decision in memory.
 *
 * The first try is optimistic: if the cache of goods (known.h) has all that the batch needs and stock is
 * plentiful, neither goods nor stock are read, and the write validates both. This is the usual case, and
 * halves the cost of a batch for the database. If validation fails, or cached goods would reject an order,
 * the batch runs again with every row locked and read. So every answer rests on rows that its transaction has
 * locked or validated. */
#include "shop/checkout/batch_internal.h"

#include "base/check.h"

static bool has_rejected(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->orders[i]->outcome == CHECKOUT_REJECTED)
            return true;
    return false;
}

static enum error_code try(struct batch *batch)
{
    enum error_code code = checkout_batch_read(batch);
    if (code || batch->outdated)
        return code;
    checkout_decide(batch->orders, batch->count);
    if (batch->form == BATCH_KNOWN && has_rejected(batch)) {
        batch->outdated = true;
        return ERR_OK;
    }
    code = checkout_batch_write(batch);
    if (code == ERR_DATABASE_CONSTRAINT && batch->form == BATCH_KNOWN) {
        batch->outdated = true;
        return ERR_OK;
    }
    return code;
}

enum error_code checkout_batch_run(struct pg *db, struct arena *arena,
                                   struct checkout_command *const *commands, size_t count)
{
    struct batch batch;
    enum error_code code = ERR_OK;
    bool again = false;
    CHECK(count > 0);
    do {
        batch = (struct batch){
            .db = db, .arena = arena, .commands = commands, .count = count, .unbelieving = again};
        batch.orders = ARENA_ARRAY(arena, struct checkout_order *, count);
        for (size_t i = 0; i < count; i++) {
            batch.orders[i] = &commands[i]->order;
            batch.orders[i]->stored = (struct checkout_stored){0};
        }
        code = try(&batch);
        CHECK(!batch.outdated || !again);
        again = !code && batch.outdated;
        if (again)
            code = pg_execute(db, "ROLLBACK");
    } while (!code && again);
    /* A statement that went well leaves the error of the one before for the engine's log. */
    if (code && code != ERR_DATABASE && pg_execute(db, "ROLLBACK"))
        pg_disconnect(db);
    return code;
}
