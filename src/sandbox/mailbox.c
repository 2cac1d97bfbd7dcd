/* Reading the mailbox: pages for people, JSON for tests. HTML parts are shown in a frame that may do nothing:
 * no scripts, no forms, nothing loaded from anywhere, but links may open a window. */
#include "sandbox/mailbox.h"

#include "mailbox_sql.h"
#include "sandbox/form.h"
#include "sandbox/page.h"

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

/* A page shows a mail up to this much, escaped. */
#define MAIL_PAGE_MAX ((size_t)64 * 1024 * 1024)

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
    page_begin(&out, "Mailbox", false);
    BUF_LITERAL(&out,
                "<h1>Mailbox</h1><form class=\"row\"><label>To <input type=\"search\" name=\"to\" value=\"");
    buf_html(&out, recipient);
    BUF_LITERAL(&out, "\"></label> <button>Show</button></form>"
                      "<table><thead><tr><th>Received</th><th>To</th><th>Subject</th></tr></thead><tbody>");
    for (size_t i = 0; i < rows.count; i++) {
        BUF_LITERAL(&out, "<tr>");
        BUF_LITERAL(&out, "<td>");
        page_time(&out, rows.items[i].received);
        BUF_LITERAL(&out, "</td>");
        cell(&out, rows.items[i].to_text);
        buf_printf(&out, "<td><a href=\"/mailbox/%.*s\">", STR_ARG(rows.items[i].id));
        buf_html(&out, rows.items[i].subject.len ? rows.items[i].subject : STR("(no subject)"));
        BUF_LITERAL(&out, "</a></td></tr>");
    }
    BUF_LITERAL(&out, "</tbody></table>");
    if (rows.count == 0)
        BUF_LITERAL(&out, "<p>No mails yet.</p>");
    return page_respond(req, 200, STR_NONE, &out);
}

/* The mail in a frame that runs and loads nothing. Its links open in a window of their own, outside the
 * frame's limits: in the frame the shop's pages refuse to be shown. */
static void frame(struct buf *out, struct str html)
{
    static const char base[] = "<base target=\"_blank\">";
    struct str head = html, place = STR("<head>");
    const char *found = memmem(html.ptr, html.len, place.ptr, place.len);
    head.len = found ? (size_t)(found - html.ptr) + place.len : 0;
    BUF_LITERAL(out, "<h2>HTML</h2><iframe title=\"The mail as HTML\" sandbox=\"allow-popups "
                     "allow-popups-to-escape-sandbox\" srcdoc=\"");
    buf_html(out, head);
    buf_html(out, (struct str){base, sizeof base - 1});
    buf_html(out, (struct str){html.ptr + head.len, html.len - head.len});
    BUF_LITERAL(out, "\"></iframe>");
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
    struct buf out = buf_new(MAIL_PAGE_MAX);
    page_begin(&out, "Mail", false);
    if (!found) {
        BUF_LITERAL(&out, "<h1>There is no such mail</h1><p><a href=\"/mailbox\">All mails</a></p>");
        return page_respond(req, 404, STR_NONE, &out);
    }
    BUF_LITERAL(&out, "<p><a href=\"/mailbox\">All mails</a></p><h1>");
    buf_html(&out, row.subject);
    BUF_LITERAL(&out, "</h1><p>From ");
    buf_html(&out, row.from_text);
    BUF_LITERAL(&out, "<br>To ");
    buf_html(&out, row.to_text);
    BUF_LITERAL(&out, "<br>");
    page_time(&out, row.received);
    BUF_LITERAL(&out, "</p>");
    if (row.html_part.ptr) {
        frame(&out, row.html_part);
    }
    if (row.text_part.ptr) {
        BUF_LITERAL(&out, "<h2>Text</h2><pre>");
        buf_html(&out, row.text_part);
        BUF_LITERAL(&out, "</pre>");
    }
    buf_printf(&out, "<p><a href=\"/mailbox/%.*s/source\">As it came</a></p>", STR_ARG(in->params[0]));
    return page_respond(req, 200, STR_NONE, &out);
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
