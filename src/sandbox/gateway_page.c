/* The hosted page: where the shop sends a person to pay. One page, three buttons, no script, nothing from
 * elsewhere. The token in its address is what opens it. */
#include "sandbox/gateway.h"

#include "gateway_sql.h"
#include "sandbox/page.h"
#include "sandbox/webhooks.h"

/* "https://shop.example" of an address: browsers hold a form's redirect to form-action too. */
static struct str origin_of(struct str url)
{
    if (!url.ptr)
        return STR_NONE;
    struct str rest = url;
    size_t slashes = 0;
    for (size_t i = 0; i < rest.len; i++)
        if (rest.ptr[i] == '/' && ++slashes == 3)
            return (struct str){rest.ptr, i};
        else if (rest.ptr[i] == ' ' || rest.ptr[i] == ';' || rest.ptr[i] == ',' || rest.ptr[i] == '?')
            return (struct str){rest.ptr, i};
    return url;
}

static enum error_code page_unknown(struct request *req)
{
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "Page not found", true);
    BUF_LITERAL(
        &out,
        "<h1>This payment page is not known</h1><p>It may have been replaced by a newer one. Go back to the "
        "shop and begin the payment again.</p>");
    return page_respond(req, 404, STR_NONE, &out);
}

/* Where the shopper goes afterwards, with what Stripe appends. */
static struct str return_address(struct arena *arena, const struct sandbox_intent_page_row *page,
                                 const char *outcome)
{
    bool has_query = memchr(page->return_url.ptr, '?', page->return_url.len) != NULL;
    return arena_printf(arena,
                        "%.*s%cpayment_intent=%.*s&payment_intent_client_secret=%.*s&redirect_status=%s",
                        STR_ARG(page->return_url), has_query ? '&' : '?', STR_ARG(page->id),
                        STR_ARG(page->client_secret), outcome);
}

static void page_open(struct buf *out, const struct sandbox_intent_page_row *page, struct str token)
{
    page_begin(out, "Pay", true);
    BUF_LITERAL(out,
                "<h1>Sandbox payment</h1><p class=\"soft\">No money moves here.</p><p class=\"amount\">");
    page_amount(out, page->amount, page->currency);
    BUF_LITERAL(out, "</p>");
    if (page->description.len) {
        BUF_LITERAL(out, "<p>");
        buf_html(out, page->description);
        BUF_LITERAL(out, "</p>");
    }
    buf_printf(out,
               "<form method=\"post\" action=\"/pay/%.*s\">"
               "<button class=\"pay\" name=\"action\" value=\"pay\" autofocus>Pay</button>"
               "<button name=\"action\" value=\"decline\">Decline</button>"
               "<button name=\"action\" value=\"return\">Back to the shop without paying</button></form>",
               STR_ARG(token));
}

static void page_closed(struct buf *out, struct arena *arena, const struct sandbox_intent_page_row *page)
{
    bool paid = str_equal(page->status, STR("succeeded"));
    page_begin(out, paid ? "Paid" : "Closed", true);
    buf_printf(out, "<h1>%s</h1><p>%s</p><a class=\"button\" href=\"",
               paid ? "This payment is done" : "This payment is closed",
               paid ? "There is nothing more to do here."
                    : "It was declined or cancelled; nothing was taken.");
    buf_html(out, return_address(arena, page, paid ? "succeeded" : "failed"));
    BUF_LITERAL(out, "\">Back to the shop</a>");
}

static enum error_code page_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_intent_page_row page;
    bool found;
    enum error_code code = sandbox_intent_page(
        req->db, req->arena, (struct sandbox_intent_page_args){in->params[0]}, &page, &found);
    if (code)
        return code;
    if (!found)
        return page_unknown(req);
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    if (str_equal(page.status, STR("requires_action")))
        page_open(&out, &page, in->params[0]);
    else
        page_closed(&out, req->arena, &page);
    return page_respond(req, 200, origin_of(page.return_url), &out);
}

struct press {
    struct arena *arena;
    struct str id;
    bool pay;
};

static enum error_code press_in_transaction(struct pg *db, void *context)
{
    struct press *press = context;
    return press->pay ? gateway_intent_pay(db, press->arena, press->id)
                      : gateway_intent_decline(db, press->arena, press->id);
}

static enum error_code page_press(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_intent_page_row page;
    bool found;
    enum error_code code = sandbox_intent_page(
        req->db, req->arena, (struct sandbox_intent_page_args){in->params[0]}, &page, &found);
    if (code)
        return code;
    struct form form;
    if (!found || !page.return_url.ptr || !form_parse(in->body, req->arena, &form))
        return page_unknown(req);
    struct str action = form_value(&form, STR("action"));
    struct press press = {.arena = req->arena, .id = page.id, .pay = str_equal(action, STR("pay"))};
    const char *outcome = "failed";
    bool open = str_equal(page.status, STR("requires_action"));
    if (open && (press.pay || str_equal(action, STR("decline")))) {
        code = pg_transaction(req->db, press_in_transaction, &press);
        if (code && code != ERR_CONFLICT) /* a cancellation came first: nothing is taken */
            return code;
        sandbox_webhooks_wake();
        outcome = press.pay && code == ERR_OK ? "succeeded" : "failed";
    } else if (str_equal(page.status, STR("succeeded"))) {
        outcome = "succeeded"; /* pressed twice */
    }
    page_headers(req, origin_of(page.return_url));
    respond_header(req, STR("Location"), return_address(req->arena, &page, outcome));
    return respond_empty(req, 303);
}

const struct api_route gateway_page_routes[] = {
    SANDBOX_ROUTE("sandbox_page_show", "GET", "/pay/{token}", page_show),
    SANDBOX_ROUTE("sandbox_page_press", "POST", "/pay/{token}", page_press),
    {.path = NULL},
};
