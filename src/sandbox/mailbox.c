/* Reading the mailbox: pages for people, JSON for tests. HTML parts are shown in a frame that may do nothing:
 * no scripts, no forms, nothing loaded from anywhere. */
#include "sandbox/mailbox.h"

#include "base/check.h"
#include "mailbox_sql.h"
#include "sandbox/form.h"

#define LIST_MAX 200

/* ?to=address, in lower case as addresses are kept. */
static struct str recipient_of(struct request *req, const struct sandbox_input *in)
{
    struct form form;
    if (!form_parse(in->query, req->arena, &form))
        return STR_NONE;
    struct str to = form_value(&form, STR("to"));
    if (to.len == 0)
        return STR_NONE;
    char *lower = arena_bytes(req->arena, to.len);
    for (size_t i = 0; i < to.len; i++)
        lower[i] = (char)(to.ptr[i] >= 'A' && to.ptr[i] <= 'Z' ? to.ptr[i] + 32 : to.ptr[i]);
    return (struct str){lower, to.len};
}

static enum error_code message_list(struct request *req, const void *input)
{
    struct sandbox_mail_list_row row = {STR_NONE};
    bool found;
    enum error_code code =
        sandbox_mail_list(req->db, req->arena,
                          (struct sandbox_mail_list_args){recipient_of(req, input), LIST_MAX}, &row, &found);
    return code == ERR_OK ? respond_json(req, 200, row.body) : code;
}

static enum error_code message_clear(struct request *req, const void *input)
{
    (void)input;
    enum error_code code = sandbox_mail_clear(req->db, NULL);
    return code == ERR_OK ? respond_empty(req, 204) : code;
}

/* ---- pages ---- */

static void page_begin(struct buf *out, const char *title)
{
    buf_printf(out,
               "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>%s</title>"
               "<link rel=\"stylesheet\" href=\"/mailbox/style.css\"></head><body><main>",
               title);
}

static enum error_code respond_page(struct request *req, int status, struct buf *out)
{
    BUF_LITERAL(out, "</main></body></html>");
    CHECK(!out->overflow);
    struct str html = arena_copy(req->arena, buf_str(out));
    buf_free(out);
    respond_header(
        req, STR("Content-Security-Policy"),
        STR("default-src 'none'; style-src 'self' 'unsafe-inline'; frame-src 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"));
    respond_header(req, STR("Cache-Control"), STR("no-store"));
    return respond_bytes(req, status, STR("text/html; charset=utf-8"), html);
}

static enum error_code style_show(struct request *req, const void *input)
{
    (void)input;
    return respond_bytes(
        req, 200, STR("text/css; charset=utf-8"),
        STR(":root{color-scheme:light dark}body{margin:0;font:1rem/1.5 system-ui,sans-serif}"
            "main{max-width:60rem;margin:0 auto;padding:1rem}h1{font-size:1.4rem}"
            "table{width:100%;border-collapse:collapse}th,td{text-align:left;padding:.4rem;"
            "border-bottom:1px solid #8886}pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;"
            "border:1px solid #8886;border-radius:.5rem}iframe{width:100%;height:36rem;background:#fff;"
            "border:1px solid #8886;border-radius:.5rem}td{overflow-wrap:anywhere}"
            "@media(max-width:40rem){thead{display:none}tr,td{display:block}td{border:0;padding:.1rem .4rem}"
            "tr{border-bottom:1px solid #8886;padding:.4rem 0}}"));
}

static void cell(struct buf *out, struct str text)
{
    BUF_LITERAL(out, "<td>");
    buf_html(out, text);
    BUF_LITERAL(out, "</td>");
}

static enum error_code mailbox_list(struct request *req, const void *input)
{
    struct sandbox_mail_heads_rows rows;
    struct str recipient = recipient_of(req, input);
    enum error_code code =
        sandbox_mail_heads(req->db, req->arena, (struct sandbox_mail_heads_args){recipient, LIST_MAX}, &rows);
    if (code != ERR_OK)
        return code;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "Mailbox");
    BUF_LITERAL(&out, "<h1>Mailbox</h1><form><label>To <input type=\"search\" name=\"to\" value=\"");
    buf_html(&out, recipient);
    BUF_LITERAL(&out, "\"></label> <button>Show</button></form>"
                      "<table><thead><tr><th>Received</th><th>To</th><th>Subject</th></tr></thead><tbody>");
    for (size_t i = 0; i < rows.count; i++) {
        BUF_LITERAL(&out, "<tr>");
        cell(&out, rows.items[i].received);
        cell(&out, rows.items[i].to_text);
        buf_printf(&out, "<td><a href=\"/mailbox/%.*s\">", STR_ARG(rows.items[i].id));
        buf_html(&out, rows.items[i].subject.len ? rows.items[i].subject : STR("(no subject)"));
        BUF_LITERAL(&out, "</a></td></tr>");
    }
    BUF_LITERAL(&out, "</tbody></table>");
    if (rows.count == 0)
        BUF_LITERAL(&out, "<p>No mails yet.</p>");
    return respond_page(req, 200, &out);
}

static enum error_code mail_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_mail_show_row row;
    bool found = false;
    enum error_code code =
        sandbox_mail_show(req->db, req->arena, (struct sandbox_mail_show_args){in->params[0]}, &row, &found);
    if (code != ERR_OK)
        return code;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "Mail");
    if (!found) {
        BUF_LITERAL(&out, "<h1>There is no such mail</h1><p><a href=\"/mailbox\">All mails</a></p>");
        return respond_page(req, 404, &out);
    }
    BUF_LITERAL(&out, "<p><a href=\"/mailbox\">All mails</a></p><h1>");
    buf_html(&out, row.subject);
    BUF_LITERAL(&out, "</h1><p>From ");
    buf_html(&out, row.from_text);
    BUF_LITERAL(&out, "<br>To ");
    buf_html(&out, row.to_text);
    BUF_LITERAL(&out, "<br>");
    buf_html(&out, row.received);
    BUF_LITERAL(&out, "</p>");
    if (row.html_part.ptr) {
        BUF_LITERAL(&out, "<h2>HTML</h2><iframe title=\"The mail as HTML\" sandbox srcdoc=\"");
        buf_html(&out, row.html_part);
        BUF_LITERAL(&out, "\"></iframe>");
    }
    if (row.text_part.ptr) {
        BUF_LITERAL(&out, "<h2>Text</h2><pre>");
        buf_html(&out, row.text_part);
        BUF_LITERAL(&out, "</pre>");
    }
    buf_printf(&out, "<p><a href=\"/mailbox/%.*s/source\">As it came</a></p>", STR_ARG(in->params[0]));
    return respond_page(req, 200, &out);
}

static enum error_code mail_source(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_mail_show_row row;
    bool found = false;
    enum error_code code =
        sandbox_mail_show(req->db, req->arena, (struct sandbox_mail_show_args){in->params[0]}, &row, &found);
    if (code != ERR_OK || !found)
        return code == ERR_OK ? ERR_NOT_FOUND : code;
    respond_header(req, STR("X-Content-Type-Options"), STR("nosniff"));
    return respond_bytes(req, 200, STR("text/plain; charset=utf-8"), row.raw);
}

/* ---- the part ---- */

static const struct api_route mailbox_routes[] = {
    SANDBOX_ROUTE("mailbox_list", "GET", "/mailbox", mailbox_list),
    SANDBOX_ROUTE("mailbox_style", "GET", "/mailbox/style.css", style_show),
    SANDBOX_ROUTE("mailbox_messages", "GET", "/mailbox/messages", message_list),
    SANDBOX_ROUTE("mailbox_clear", "DELETE", "/mailbox/messages", message_clear),
    SANDBOX_ROUTE("mailbox_show", "GET", "/mailbox/{id}", mail_show),
    SANDBOX_ROUTE("mailbox_source", "GET", "/mailbox/{id}/source", mail_source),
    {.path = NULL},
};
static const struct api_route *const routes[] = {mailbox_routes, NULL};

static enum error_code start(struct pg *db, struct error *error)
{
    (void)db;
    return mailbox_smtp_start(error);
}

const struct sandbox_part sandbox_mailbox = {
    .name = "mailbox", .routes = routes, .start = start, .stop = mailbox_smtp_stop};
