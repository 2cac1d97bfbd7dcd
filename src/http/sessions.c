/* Who is out stays out: x-session of the contract. Looked at twice, at the head (a private answer out of the
 * cache needs no more than that) and right before the handler: bodies may take their time to arrive, and
 * requests theirs to get a worker. Both looks are into memory. PostgreSQL is asked where the process cannot
 * know, because it has not heard for session_trust_ms, and where the operation says `immediate`. */
#include "api.h"
#include "http/server_internal.h"

static enum error_code ended(struct http_exchange *x)
{
    return error_set(&x->req.error, ERR_UNAUTHENTICATED,
                     "The access token is refused: its session has ended, sign in again");
}

static bool is_asked_for(const struct http_exchange *x)
{
    return x->server->options.session && x->req.route->session != API_SESSION_NONE &&
           !uuid_is_zero(x->req.principal.user_id.uuid);
}

enum error_code session_at_head(struct http_exchange *x)
{
    enum session_word word = is_asked_for(x) ? x->server->options.session(&x->req.principal) : SESSION_OPEN;
    x->session_unsure = word == SESSION_UNSURE;
    return word == SESSION_ENDED ? ended(x) : ERR_OK;
}

enum error_code session_at_handler(struct http_exchange *x, struct pg *db, bool *ask)
{
    const struct http_server_options *options = &x->server->options;
    *ask = false;
    if (!is_asked_for(x))
        return ERR_OK;
    enum session_word word = options->session(&x->req.principal);
    if (word == SESSION_ENDED)
        return ended(x);
    *ask = !x->session_asked && (word == SESSION_UNSURE || x->req.route->session == API_SESSION_IMMEDIATE);
    if (!*ask || !db)
        return ERR_OK;
    enum error_code code = options->session_ask(db, x->req.arena, &x->req.principal);
    return code == ERR_UNAUTHENTICATED ? ended(x) : code;
}
