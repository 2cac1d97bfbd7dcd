/* Turns of connections. Who pipelines waits for the others after each TURN_REQUESTS or TURN_BYTES: what is
 * left of his input stays where it is, nothing more is read, and he stands in the loop's list, which is
 * worked through once before each poll (connections_turn). While somebody stands there polling does not
 * block. */
#include "http/server_internal.h"

void turn_begin(struct connection *c)
{
    if (c->turn == c->loop->turn)
        return;
    c->turn = c->loop->turn;
    c->turn_requests = 0;
    c->turn_bytes = 0;
}

bool turn_is_over(struct connection *c)
{
    turn_begin(c);
    return c->turn_requests >= TURN_REQUESTS || c->turn_bytes >= TURN_BYTES;
}

void turn_end(struct connection *c)
{
    c->turn_requests = TURN_REQUESTS;
}

static void on_hurry(uv_idle_t *idle)
{
    (void)idle;
}

void turn_wait(struct connection *c)
{
    struct event_loop *loop = c->loop;
    if (c->waits_for_turn)
        return;
    c->waits_for_turn = true;
    TAILQ_INSERT_TAIL(&loop->turns, c, turn_link);
    if (loop->turns_waiting++ == 0)
        uv_idle_start(&loop->hurry, on_hurry);
}

void turn_leave(struct connection *c)
{
    struct event_loop *loop = c->loop;
    if (!c->waits_for_turn)
        return;
    c->waits_for_turn = false;
    TAILQ_REMOVE(&loop->turns, c, turn_link);
    if (--loop->turns_waiting == 0)
        uv_idle_stop(&loop->hurry);
}

struct connection *turn_next(struct event_loop *loop)
{
    struct connection *c = TAILQ_FIRST(&loop->turns);
    turn_leave(c);
    return c;
}
