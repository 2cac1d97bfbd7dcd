/* The hosted page: where the shop sends a person to pay. One page, three buttons, no script, nothing from
 * elsewhere. The token in its address is what opens it. */
#include "sandbox/gateway.h"

#include "base/check.h"
#include "gateway_sql.h"
#include "sandbox/webhooks.h"

#define STYLE                                                                                                \
    ":root{color-scheme:light "                                                                              \
    "dark;--ink:#16202b;--paper:#fff;--soft:#5c6b7a;--line:#d8dee5;--brand:#0b5c4d}"                         \
    "@media(prefers-color-scheme:dark){:root{--ink:#eef2f6;--paper:#10171e;--soft:#a5b3c0;--line:#33404c;--" \
    "brand:#5fd0b8}}"                                                                                        \
    "*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;"   \
    "background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}"                           \
    "main{width:100%;max-width:26rem;border:1px solid var(--line);border-radius:.75rem;padding:1.5rem}"      \
    "h1{margin:0;font-size:1.25rem}p{margin:.5rem 0}.amount{font-size:2.25rem;font-weight:650;margin:1rem "  \
    "0;"                                                                                                     \
    "font-variant-numeric:tabular-nums}.soft{color:var(--soft)}"                                             \
    "button,a.button{display:block;width:100%;min-height:3rem;margin-top:.75rem;border:1px solid "           \
    "var(--line);"                                                                                           \
    "border-radius:.5rem;background:transparent;color:inherit;font:inherit;font-weight:600;text-align:"      \
    "center;"                                                                                                \
    "line-height:3rem;padding:0;cursor:pointer;text-decoration:none}"                                        \
    ".pay{background:var(--brand);border-color:var(--brand);color:var(--paper)}"                             \
    "button:focus-visible,a:focus-visible{outline:3px solid var(--brand);outline-offset:3px}"

static const char style[] = STYLE;

/* Digits after the point, by currency: ISO 4217 knows few without. */
static bool has_cents(struct str currency)
{
    static const char *const whole[] = {"jpy", "krw", "vnd", "clp", NULL};
    for (size_t i = 0; whole[i]; i++)
        if (str_equal(currency, str_from(whole[i])))
            return false;
    return true;
}

static void amount_text(struct buf *out, int64_t amount, struct str currency)
{
    for (size_t i = 0; i < currency.len; i++)
        buf_char(out, (char)(currency.ptr[i] >= 'a' && currency.ptr[i] <= 'z' ? currency.ptr[i] - 32
                                                                              : currency.ptr[i]));
    if (has_cents(currency))
        buf_printf(out, " %lld.%02lld", (long long)(amount / 100), (long long)(amount % 100));
    else
        buf_printf(out, " %lld", (long long)amount);
}

static void page_begin(struct buf *out, const char *title)
{
    buf_printf(out,
               "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
               "<meta name=\"robots\" content=\"noindex\"><title>%s</title>"
               "<link rel=\"stylesheet\" href=\"/pay/style.css\"></head><body><main>",
               title);
}

/* "https://shop.example" of an address: browsers hold a form's redirect to form-action too. */
static struct str origin_of(struct str url)
{
    struct str rest = url;
    size_t slashes = 0;
    for (size_t i = 0; i < rest.len; i++)
        if (rest.ptr[i] == '/' && ++slashes == 3)
            return (struct str){rest.ptr, i};
        else if (rest.ptr[i] == ' ' || rest.ptr[i] == ';' || rest.ptr[i] == ',' || rest.ptr[i] == '?')
            return (struct str){rest.ptr, i};
    return url;
}

static void page_headers(struct request *req, struct str return_url)
{
    struct str origin = return_url.ptr ? origin_of(return_url) : STR("");
    respond_header(
        req, STR("Content-Security-Policy"),
        arena_printf(req->arena,
                     "default-src 'none'; style-src 'self'; form-action 'self' %.*s; base-uri 'none'; "
                     "frame-ancestors 'none'",
                     STR_ARG(origin)));
    respond_header(req, STR("Referrer-Policy"), STR("no-referrer"));
    respond_header(req, STR("Cache-Control"), STR("no-store"));
}

static enum error_code respond_page(struct request *req, int status, struct str return_url, struct buf *out)
{
    BUF_LITERAL(out, "</main></body></html>");
    CHECK(!out->overflow);
    struct str html = arena_copy(req->arena, buf_str(out));
    buf_free(out);
    page_headers(req, return_url);
    return respond_bytes(req, status, STR("text/html; charset=utf-8"), html);
}

static enum error_code page_unknown(struct request *req)
{
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "Page not found");
    BUF_LITERAL(
        &out,
        "<h1>This payment page is not known</h1><p>It may have been replaced by a newer one. Go back to the "
        "shop and begin the payment again.</p>");
    return respond_page(req, 404, STR_NONE, &out);
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
    page_begin(out, "Pay");
    BUF_LITERAL(out,
                "<h1>Sandbox payment</h1><p class=\"soft\">No money moves here.</p><p class=\"amount\">");
    amount_text(out, page->amount, page->currency);
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
    page_begin(out, paid ? "Paid" : "Closed");
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
    return respond_page(req, 200, page.return_url, &out);
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
    page_headers(req, page.return_url);
    respond_header(req, STR("Location"), return_address(req->arena, &page, outcome));
    return respond_empty(req, 303);
}

static enum error_code page_style(struct request *req, const void *in)
{
    (void)in;
    respond_header(req, STR("Cache-Control"), STR("max-age=3600"));
    return respond_bytes(req, 200, STR("text/css; charset=utf-8"), (struct str){style, sizeof style - 1});
}

const struct api_route gateway_page_routes[] = {
    SANDBOX_ROUTE("sandbox_page_style", "GET", "/pay/style.css", page_style),
    SANDBOX_ROUTE("sandbox_page_show", "GET", "/pay/{token}", page_show),
    SANDBOX_ROUTE("sandbox_page_press", "POST", "/pay/{token}", page_press),
    {.path = NULL},
};
