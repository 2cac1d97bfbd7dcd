/* A batch: one transaction around a decision in memory. */
#include "shop/checkout/batch_internal.h"

#include "base/check.h"

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
    enum error_code code = checkout_batch_read(&batch);
    if (!code) {
        checkout_decide(batch.orders, count);
        code = checkout_batch_write(&batch);
    }
    /* A statement that went well leaves the error of the one before for the engine's log. */
    if (code && code != ERR_DATABASE && pg_execute(db, "ROLLBACK"))
        pg_disconnect(db);
    return code;
}
