/* The page that a mail links to: its order as it is now, for whoever holds the link. The address holds the
 * key; that no page is told it as its referrer is the server's rule for all answers. The link's key is a code
 * over the order's identifier that only this shop can make (http/cursor.h), so that nobody needs to sign in
 * to follow a parcel, and nobody can guess another's. Neither name nor address stands on it. */
#include "api.h"
#include "base/config.h"
#include "http/cursor.h"
#include "http/pages.h"
#include "http/request.h"
#include "shop/notify/notify_internal.h"
#include "shop/notify/notify_mail.h"

static const struct str list = STR("order_page");

struct str order_mail_link(struct arena *arena, struct order_id order_id)
{
    char id[ID_TEXT_MAX];
    order_id_text(order_id, id);
    struct str key = cursor_seal(arena, list, &order_id, sizeof order_id);
    return arena_printf(arena, "%s/orders/%s?key=%.*s", config()->public_url, id, STR_ARG(key));
}

static bool key_fits(const struct api_order_page *in)
{
    struct order_id of;
    size_t bytes;
    return in->has_key && cursor_open(list, in->key, &of, sizeof of, sizeof of, &bytes) &&
           order_id_equal(of, in->order_id);
}

static enum error_code respond_html(struct request *req, int status, struct str policy, struct str html)
{
    respond_header(req, STR("Content-Security-Policy"), policy);
    respond_header(req, STR("Cache-Control"), STR("private, no-store"));
    return respond_bytes(req, status, STR("text/html; charset=utf-8"), html);
}

static enum error_code nothing_here(struct request *req)
{
    const struct page_value values[] = {
        {"shop", str_from(config()->shop_name)},
        {"title", STR("There is nothing behind this link")},
        {"text",
         STR("It may have been cut on its way. The link in our newest mail about the order leads to it.")},
        {"link", arena_printf(req->arena, "%s/", config()->public_url)},
    };
    return respond_html(req, 404, page_returned_csp,
                        page_fill(req->arena, page_returned, values, sizeof values / sizeof *values));
}

enum error_code order_page_handle(struct request *req, const struct api_order_page *in)
{
    struct order_mail mail = {.order_id = in->order_id};
    bool found = false;
    enum error_code code = key_fits(in) ? order_mail_read(req->db, req->arena, &mail, &found) : ERR_OK;
    if (code != ERR_OK)
        return code;
    if (!found)
        return nothing_here(req);
    struct mail_message page = {0};
    if (!order_mail_fill(req->arena, &mail, mail_template_find(STR("order_page")), &page))
        return error_set(&req->error, ERR_INTERNAL, "The order is longer than its page may be");
    return respond_html(req, 200,
                        STR("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action "
                            "'none'; frame-ancestors 'none'"),
                        page.html);
}
