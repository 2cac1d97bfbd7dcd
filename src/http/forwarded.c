/* Whom a request comes from: the connection's peer, or who stands behind it where that is a trusted proxy.
 * Requests of one connection mostly come from one client, so what the last one's field said is kept there,
 * and read again only when it differs. */
#include "http/server_internal.h"

void client_is_peer(struct http_exchange *x)
{
    x->client = x->connection->peer;
    x->network = address_network(x->client);
}

/* Fields that come several times are one list (RFC 9110, 5.3). */
static struct str forwarded_field(const struct http_exchange *x)
{
    static const struct str name = STR("X-Forwarded-For");
    struct str forwarded = STR_NONE;
    for (size_t i = 0; i < x->head.field_count; i++) {
        const struct head_field *field = &x->head.fields[i];
        if (field->name.len != name.len || !str_equal_ignoring_case(field->name, name))
            continue;
        forwarded = forwarded.ptr
                        ? arena_printf(x->req.arena, "%.*s,%.*s", STR_ARG(forwarded), STR_ARG(field->value))
                        : field->value;
    }
    return forwarded;
}

void client_find(struct http_exchange *x)
{
    struct connection *c = x->connection;
    struct forwarded *last = &c->forwarded;
    struct str text = c->peer_trusted ? forwarded_field(x) : STR_NONE;
    if (last->known && str_equal(text, (struct str){last->text, last->len})) {
        x->client = last->client;
        x->network = last->network;
        return;
    }
    x->client = text.len ? address_behind_proxies(&x->server->trusted, c->peer, text) : c->peer;
    x->network = address_network(x->client);
    last->known = text.len <= sizeof last->text;
    if (!last->known)
        return;
    if (text.len)
        memcpy(last->text, text.ptr, text.len);
    last->len = text.len;
    last->client = x->client;
    last->network = x->network;
}
