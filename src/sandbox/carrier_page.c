/* What people see of the sandbox carrier: the label, drawn, and the public tracking page with a button that
 * moves the parcel. */
#include "sandbox/carrier.h"

#include "carrier_sql.h"
#include "sandbox/page.h"
#include "sandbox/webhooks.h"

#include <jansson.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *value = json_string_value(json_object_get(object, name));
    return value ? value : "";
}

static void svg_address(struct buf *out, struct str json_text, int x, int y, int size)
{
    static const char *const lines[][3] = {{"name", NULL},    {"company", NULL},        {"street1", NULL},
                                           {"street2", NULL}, {"city", "state", "zip"}, {"country", NULL}};
    json_t *json = json_loadb(json_text.ptr, json_text.len, 0, NULL);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct buf line = buf_new(4096);
        for (size_t part = 0; part < 3 && lines[i][part]; part++) {
            const char *value = text_of(json, lines[i][part]);
            if (*value && line.len > 0)
                buf_char(&line, ' ');
            buf_append(&line, str_from(value));
        }
        if (line.len > 0) {
            buf_printf(out, "<text x=\"%d\" y=\"%d\" font-size=\"%d\">", x, y, size);
            buf_html(out, buf_str(&line));
            BUF_LITERAL(out, "</text>");
            y += size + size / 3;
        }
        buf_free(&line);
    }
    json_decref(json);
}

/* Bars whose widths follow the code's bits: to look at, not to scan. */
static void svg_bars(struct buf *out, struct str code)
{
    int x = 40;
    for (size_t i = 0; i < code.len; i++)
        for (int bit = 0; bit < 7; bit++) {
            int width = code.ptr[i] >> bit & 1 ? 4 : 2;
            if (bit % 2 == 0)
                buf_printf(out, "<rect x=\"%d\" y=\"430\" width=\"%d\" height=\"90\"/>", x, width);
            x += width;
        }
}

static enum error_code label_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_label_row row;
    bool found = false;
    enum error_code code =
        sandbox_label(req->db, req->arena, (struct sandbox_label_args){in->params[0]}, &row, &found);
    if (code != ERR_OK || !found)
        return code != ERR_OK ? code : carrier_missing(req);
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    BUF_LITERAL(
        &out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 600\" width=\"400\" height=\"600\" "
        "font-family=\"sans-serif\" role=\"img\" aria-label=\"Shipping label\">"
        "<rect width=\"400\" height=\"600\" fill=\"#fff\" stroke=\"#000\"/>"
        "<text x=\"20\" y=\"46\" font-size=\"28\" font-weight=\"700\">CathayPost ");
    buf_html(&out, row.service);
    BUF_LITERAL(&out, "</text><line x1=\"0\" x2=\"400\" y1=\"66\" y2=\"66\" stroke=\"#000\"/>");
    svg_address(&out, row.from_address, 20, 92, 13);
    BUF_LITERAL(&out, "<line x1=\"0\" x2=\"400\" y1=\"190\" y2=\"190\" stroke=\"#000\"/>");
    svg_address(&out, row.to_address, 40, 230, 20);
    svg_bars(&out, row.tracking_code);
    BUF_LITERAL(&out, "<text x=\"200\" y=\"550\" font-size=\"20\" text-anchor=\"middle\">");
    buf_html(&out, row.tracking_code);
    BUF_LITERAL(&out, "</text><text x=\"200\" y=\"580\" font-size=\"11\" text-anchor=\"middle\">Sandbox: not "
                      "valid postage");
    BUF_LITERAL(&out, "</text></svg>");
    bool whole = !out.overflow;
    struct str svg = whole ? arena_copy(req->arena, buf_str(&out)) : STR_NONE;
    buf_free(&out);
    if (!whole)
        return error_set(&req->error, ERR_INTERNAL, "the addresses of this label are too long");
    respond_header(req, STR("Content-Security-Policy"), STR("default-src 'none'; style-src 'unsafe-inline'"));
    return respond_bytes(req, 200, STR("image/svg+xml"), svg);
}

static void page_steps(struct buf *out, const json_t *steps)
{
    BUF_LITERAL(out, "<ol>");
    size_t index;
    json_t *step;
    json_array_foreach(steps, index, step)
    {
        BUF_LITERAL(out, "<li><p>");
        buf_html(out, str_from(text_of(step, "message")));
        BUF_LITERAL(out, "</p><p class=\"soft\">");
        page_time(out, str_from(text_of(step, "datetime")));
        const char *city = text_of(json_object_get(step, "tracking_location"), "city");
        if (*city) {
            BUF_LITERAL(out, ", ");
            buf_html(out, str_from(city));
        }
        BUF_LITERAL(out, "</p></li>");
    }
    BUF_LITERAL(out, "</ol>");
}

static enum error_code track_show(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct sandbox_tracker_show_row row;
    bool found = false;
    enum error_code code = sandbox_tracker_show(
        req->db, req->arena, (struct sandbox_tracker_show_args){in->params[0]}, &row, &found);
    if (code != ERR_OK)
        return code;
    struct buf out = buf_new(BUF_DEFAULT_MAX);
    page_begin(&out, "CathayPost tracking", true);
    if (!found) {
        BUF_LITERAL(&out, "<h1>This tracking code is not known</h1>");
        return page_respond(req, 404, STR_NONE, &out);
    }
    json_t *tracker = json_loadb(row.body.ptr, row.body.len, 0, NULL);
    buf_printf(&out, "<h1>%s</h1><p class=\"soft\">Parcel ",
               page_parcel_words(str_from(text_of(tracker, "status"))));
    buf_html(&out, str_from(text_of(tracker, "tracking_code")));
    BUF_LITERAL(&out, "</p>");
    page_steps(&out, json_object_get(tracker, "tracking_details"));
    BUF_LITERAL(&out, "<form method=\"post\" action=\"/track/");
    buf_html(&out, str_from(text_of(tracker, "tracking_code")));
    BUF_LITERAL(&out, "/advance\"><button class=\"pay\">Move the parcel one step on</button></form>"
                      "<p class=\"soft\">This is a sandbox: nothing is really sent. <a href=\"/\">All "
                      "parcels</a></p>");
    json_decref(tracker);
    return page_respond(req, 200, STR_NONE, &out);
}

struct press {
    struct arena *arena;
    struct str code;
};

static enum error_code press(struct pg *db, void *context)
{
    const struct press *press = context;
    return carrier_tracker_advance(db, press->arena, press->code, STR_NONE);
}

static enum error_code track_advance(struct request *req, const void *input)
{
    const struct sandbox_input *in = input;
    struct press context = {req->arena, in->params[0]};
    enum error_code code = pg_transaction(req->db, press, &context);
    if (code == ERR_NOT_FOUND)
        return carrier_missing(req);
    if (code != ERR_OK && code != ERR_CONFLICT)
        return code;
    sandbox_webhooks_wake();
    respond_header(req, STR("Location"), arena_printf(req->arena, "/track/%.*s", STR_ARG(in->params[0])));
    return respond_bytes(req, 303, STR("text/plain"), STR(""));
}

const struct api_route carrier_page_routes[] = {
    SANDBOX_ROUTE("carrier_label", "GET", "/labels/{token}", label_show),
    SANDBOX_ROUTE("carrier_track", "GET", "/track/{code}", track_show),
    SANDBOX_ROUTE("carrier_track_advance", "POST", "/track/{code}/advance", track_advance),
    {.path = NULL},
};
