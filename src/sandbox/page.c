#include "sandbox/page.h"

#include "base/config.h"
#include "sandbox_sql.h"

#include <ctype.h>

#define INDEX_MAX 10 /* open payments, and parcels, on the index */

static const char style[] =
    ":root{color-scheme:light dark;--ink:#16202b;--paper:#fff;--soft:#5c6b7a;--line:#d8dee5;--brand:#0b5c4d}"
    "@media(prefers-color-scheme:dark){:root{--ink:#eef2f6;--paper:#10171e;--soft:#a5b3c0;--line:#33404c;"
    "--brand:#5fd0b8}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}"
    "main{max-width:60rem;margin:0 auto;padding:1rem}"
    "body.narrow{min-height:100vh;display:grid;place-items:center;padding:1rem}"
    ".narrow main{width:100%;max-width:26rem;margin:0;border:1px solid var(--line);border-radius:.75rem;"
    "padding:1.5rem}"
    "h1{margin:0;font-size:1.4rem}h2{font-size:1.1rem;margin:1.5rem 0 .25rem}p{margin:.5rem 0}"
    "a{color:var(--brand)}.soft{color:var(--soft)}.amount{font-size:2.25rem;font-weight:650;margin:1rem 0;"
    "font-variant-numeric:tabular-nums}"
    "form.row{display:flex;gap:.5rem;flex-wrap:wrap;align-items:center;margin:1rem 0}"
    "input{font:inherit;padding:.4rem}"
    "button,a.button{display:block;width:100%;min-height:3rem;margin-top:.75rem;border:1px solid var(--line);"
    "border-radius:.5rem;background:transparent;color:inherit;font:inherit;font-weight:600;text-align:center;"
    "line-height:3rem;padding:0;cursor:pointer;text-decoration:none}"
    "form.row button{width:auto;min-height:0;margin:0;line-height:inherit;padding:.4rem 1rem}"
    ".pay{background:var(--brand);border-color:var(--brand);color:var(--paper)}"
    "button:focus-visible,a:focus-visible{outline:3px solid var(--brand);outline-offset:3px}"
    "table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:.4rem;border-bottom:1px solid "
    "var(--line);overflow-wrap:anywhere}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;border:1px solid var(--line);"
    "border-radius:.5rem}"
    "iframe{width:100%;height:36rem;background:#fff;border:1px solid var(--line);border-radius:.5rem}"
    "@media(max-width:40rem){thead{display:none}tr,td{display:block}td{border:0;padding:.1rem .4rem}"
    "tr{border-bottom:1px solid var(--line);padding:.4rem 0}}";

void page_begin(struct buf *out, const char *title, bool narrow)
{
    buf_printf(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"robots\" content=\"noindex\"><link rel=\"icon\" href=\"data:,\"><title>%s</title>"
        "<link rel=\"stylesheet\" href=\"/style.css\"></head><body%s><main>",
        title, narrow ? " class=\"narrow\"" : "");
    if (!narrow)
        BUF_LITERAL(out, "<p><a href=\"/\">Sandbox partners</a></p>");
}

void page_headers(struct request *req, struct str form_target)
{
    respond_header(req, STR("Content-Security-Policy"),
                   arena_printf(req->arena,
                                "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src data:; "
                                "frame-src 'self'; form-action 'self' %.*s; base-uri 'none'; "
                                "frame-ancestors 'none'",
                                STR_ARG(form_target)));
    respond_header(req, STR("Referrer-Policy"), STR("no-referrer"));
    respond_header(req, STR("Cache-Control"), STR("no-store"));
}

enum error_code page_respond(struct request *req, int status, struct str form_target, struct buf *out)
{
    BUF_LITERAL(out, "</main></body></html>");
    bool whole = !out->overflow;
    struct str html = whole ? arena_copy(req->arena, buf_str(out)) : STR_NONE;
    buf_free(out);
    if (!whole)
        return error_set(&req->error, ERR_INTERNAL, "what this page shows is too long");
    page_headers(req, form_target);
    return respond_bytes(req, status, STR("text/html; charset=utf-8"), html);
}

/* ---- words ---- */

/* Digits after the point, by currency: ISO 4217 knows few without. */
static bool has_cents(struct str currency)
{
    static const char *const whole[] = {"jpy", "krw", "vnd", "clp", NULL};
    for (size_t i = 0; whole[i]; i++)
        if (str_equal_ignoring_case(currency, str_from(whole[i])))
            return false;
    return true;
}

void page_amount(struct buf *out, int64_t amount, struct str currency)
{
    for (size_t i = 0; i < currency.len; i++)
        buf_char(out, (char)toupper((unsigned char)currency.ptr[i]));
    char digits[24];
    int len =
        snprintf(digits, sizeof digits, "%lld", (long long)(has_cents(currency) ? amount / 100 : amount));
    buf_char(out, ' ');
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf_char(out, ',');
        buf_char(out, digits[i]);
    }
    if (has_cents(currency))
        buf_printf(out, ".%02lld", (long long)(amount % 100));
}

void page_time(struct buf *out, struct str time)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int year, month, day, hour, minute;
    char text[32];
    snprintf(text, sizeof text, "%.*s", STR_ARG(time));
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d", &year, &month, &day, &hour, &minute) != 5 || month < 1 ||
        month > 12) {
        buf_html(out, time);
        return;
    }
    BUF_LITERAL(out, "<time datetime=\"");
    buf_html(out, time);
    buf_printf(out, "\">%d %s %d, %02d:%02d UTC</time>", day, months[month - 1], year, hour, minute);
}

const char *page_parcel_words(struct str status)
{
    static const char *const words[][2] = {
        {"unknown", "The label is made"},
        {"pre_transit", "Waiting for the carrier"},
        {"in_transit", "On its way"},
        {"out_for_delivery", "Out for delivery today"},
        {"delivered", "Delivered"},
        {"available_for_pickup", "Ready to be picked up"},
        {"return_to_sender", "Going back to the sender"},
        {"failure", "Could not be delivered"},
        {"cancelled", "Cancelled"},
        {"error", "Lost track of"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_equal(status, str_from(words[i][0])))
            return words[i][1];
    return "On its way";
}

/* ---- the index ---- */

static enum error_code list_payments(struct request *req, struct buf *out)
{
    struct sandbox_index_payments_rows rows;
    enum error_code code =
        sandbox_index_payments(req->db, req->arena, (struct sandbox_index_payments_args){INDEX_MAX}, &rows);
    BUF_LITERAL(out, "<h2>Payments</h2><p>Whoever pays an order is sent to a page here, to pay, to decline "
                     "or to walk away.</p>");
    if (!code && rows.count == 0)
        BUF_LITERAL(out, "<p class=\"soft\">No payment is open. Place an order and begin its payment, and "
                         "its page is listed here; docs/tour.md shows how.</p>");
    for (size_t i = 0; !code && i < rows.count; i++) {
        buf_printf(out, "<p><a href=\"/pay/%.*s\">", STR_ARG(rows.items[i].token));
        page_amount(out, rows.items[i].amount, rows.items[i].currency);
        BUF_LITERAL(out, "</a> ");
        buf_html(out, rows.items[i].description);
        BUF_LITERAL(out, " <span class=\"soft\">");
        page_time(out, rows.items[i].created);
        BUF_LITERAL(out, "</span></p>");
    }
    return code;
}

static enum error_code list_parcels(struct request *req, struct buf *out)
{
    struct sandbox_index_parcels_rows rows;
    enum error_code code =
        sandbox_index_parcels(req->db, req->arena, (struct sandbox_index_parcels_args){INDEX_MAX}, &rows);
    BUF_LITERAL(out, "<h2>Parcels</h2><p>Each has a page that tells where it is, with a button that moves it "
                     "on.</p>");
    if (!code && rows.count == 0)
        BUF_LITERAL(out,
                    "<p class=\"soft\">No parcel is on its way. The label of an order is made when it is "
                    "paid.</p>");
    for (size_t i = 0; !code && i < rows.count; i++) {
        BUF_LITERAL(out, "<p><a href=\"/track/");
        buf_html(out, rows.items[i].tracking_code);
        BUF_LITERAL(out, "\">");
        buf_html(out, rows.items[i].tracking_code);
        buf_printf(out, "</a> %s <span class=\"soft\">", page_parcel_words(rows.items[i].status));
        page_time(out, rows.items[i].updated);
        BUF_LITERAL(out, "</span></p>");
    }
    return code;
}

static enum error_code index_show(struct request *req, const void *in)
{
    (void)in;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "Sandbox partners", false);
    BUF_LITERAL(&out, "<h1>Sandbox partners</h1><p>A payment gateway, a carrier and a mail server, for "
                      "development: no money moves, and nothing is sent. The shop is at <a href=\"");
    buf_html(&out, str_from(config()->public_url));
    BUF_LITERAL(&out, "/\">");
    buf_html(&out, str_from(config()->public_url));
    BUF_LITERAL(&out, "</a>.</p>");
    enum error_code code = list_payments(req, &out);
    if (!code)
        code = list_parcels(req, &out);
    if (code) {
        buf_free(&out);
        return code;
    }
    BUF_LITERAL(&out, "<h2>Mails</h2><p><a href=\"/mailbox\">The mailbox</a> has every mail that the shop "
                      "has sent.</p>");
    return page_respond(req, 200, STR_NONE, &out);
}

static enum error_code style_show(struct request *req, const void *in)
{
    (void)in;
    respond_header(req, STR("Cache-Control"), STR("max-age=3600"));
    return respond_bytes(req, 200, STR("text/css; charset=utf-8"), (struct str){style, sizeof style - 1});
}

const struct api_route page_index_routes[] = {
    SANDBOX_ROUTE("sandbox_index", "GET", "/", index_show),
    SANDBOX_ROUTE("sandbox_style", "GET", "/style.css", style_show),
    {.path = NULL},
};
