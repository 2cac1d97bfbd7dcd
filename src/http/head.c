#include "http/head.h"

#include "base/check.h"
#include "base/poison.h"

#define BLANK_LINES_MAX 4 /* before the request line (RFC 9112, 2.2) */

static enum head_scan_result bad(enum error_code *code, const char **detail, enum error_code what,
                                 const char *why)
{
    *code = what;
    *detail = why;
    return HEAD_BAD;
}

/* One complete line without its CR LF. */
static const char *line_fault(const char *line, size_t len, bool in_fields)
{
    if (len && memchr(line, '\r', len))
        return "A carriage return stands alone";
    if (len && memchr(line, '\0', len))
        return "The head holds a NUL";
    if (!in_fields)
        return NULL;
    if (line[0] == ' ' || line[0] == '\t')
        return "A header field is folded over several lines";
    if (line[0] == ':')
        return "A header field has no name";
    return NULL;
}

enum head_scan_result head_scan(struct head_scan *scan, const char *bytes, size_t len, size_t *head_len,
                                enum error_code *code, const char **detail)
{
    size_t limit = len < HEAD_BYTES_MAX ? len : HEAD_BYTES_MAX;
    for (;;) {
        if (!scan->in_fields && scan->line < len) {
            unsigned char first = (unsigned char)bytes[scan->line];
            if (first != '\r' && first != '\n' && (first < 'A' || first > 'Z'))
                return bad(code, detail, ERR_BAD_REQUEST, "This is not an HTTP request");
        }
        size_t from = scan->scanned > scan->line ? scan->scanned : scan->line;
        const char *end = from < limit ? memchr(bytes + from, '\n', limit - from) : NULL;
        if (!end) {
            scan->scanned = limit;
            if (!scan->in_fields && limit - scan->line > HEAD_URI_MAX + 32)
                return bad(code, detail, ERR_URI_TOO_LONG, "The request line is longer than 8 KB");
            if (len >= HEAD_BYTES_MAX)
                return bad(code, detail, ERR_HEADERS_TOO_LARGE, "The header section is larger than 16 KB");
            return HEAD_MORE;
        }
        const char *line = bytes + scan->line;
        size_t line_len = (size_t)(end - line);
        if (line_len == 0 || end[-1] != '\r')
            return bad(code, detail, ERR_BAD_REQUEST, "A line ends without a carriage return");
        line_len--;
        scan->line = (size_t)(end - bytes) + 1;
        if (line_len == 0) {
            if (scan->in_fields) {
                *head_len = scan->line;
                return HEAD_WHOLE;
            }
            if (scan->line > 2 * BLANK_LINES_MAX)
                return bad(code, detail, ERR_BAD_REQUEST, "Blank lines come before the request");
            continue;
        }
        const char *fault = line_fault(line, line_len, scan->in_fields);
        if (fault)
            return bad(code, detail, ERR_BAD_REQUEST, fault);
        scan->in_fields = true;
    }
}

/* ---- llhttp's callbacks ---- */

static struct http_head *head_of(llhttp_t *parser)
{
    return parser->data;
}

static int refuse(struct http_head *head, enum error_code code, const char *detail)
{
    head->code = code;
    head->detail = detail;
    return HPE_USER;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    head_of(parser)->path = (struct str){at, len};
    return 0;
}

static int on_field_name(llhttp_t *parser, const char *at, size_t len)
{
    struct http_head *head = head_of(parser);
    if (head->complete)
        return 0;
    if (head->field_count == HEAD_FIELDS_MAX)
        return refuse(head, ERR_HEADERS_TOO_LARGE, "There are more than 100 header fields");
    MEMORY_UNPOISON(&head->fields[head->field_count], sizeof *head->fields);
    head->fields[head->field_count++] = (struct head_field){{at, len}, {at + len, 0}};
    return 0;
}

static int on_field_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_head *head = head_of(parser);
    if (!head->complete && head->field_count)
        head->fields[head->field_count - 1].value = (struct str){at, len};
    return 0;
}

static int on_head_complete(llhttp_t *parser)
{
    struct http_head *head = head_of(parser);
    head->keep_alive = llhttp_should_keep_alive(parser);
    head->chunked = (parser->flags & F_CHUNKED) != 0;
    head->content_length = (parser->flags & F_CONTENT_LENGTH) ? parser->content_length : 0;
    head->complete = true;
    parser->upgrade = 0; /* no other protocol is offered: the field is ignored (RFC 9110, 7.8) */
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_head *head = head_of(parser);
    if (len > head->body_max - head->body_decoded)
        return refuse(head, ERR_BODY_TOO_LARGE, "The body is larger than this operation takes");
    head->body_decoded += len;
    if (head->sink)
        buf_append(head->sink, (struct str){at, len});
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field_name,
    .on_header_value = on_field_value,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- what llhttp leaves to its user ---- */

static bool fail(struct http_head *head, enum error_code code, const char *detail)
{
    head->code = code;
    head->detail = detail;
    return false;
}

static int known_of(struct str name)
{
    static const struct str names[HEAD_KNOWN_COUNT] = {
        [HEAD_HOST] = STR("host"),
        [HEAD_CONTENT_LENGTH] = STR("content-length"),
        [HEAD_TRANSFER_ENCODING] = STR("transfer-encoding"),
        [HEAD_EXPECT] = STR("expect"),
        [HEAD_AUTHORIZATION] = STR("authorization"),
        [HEAD_CONTENT_TYPE] = STR("content-type"),
        [HEAD_IDEMPOTENCY_KEY] = STR("idempotency-key"),
        [HEAD_REQUEST_ID] = STR("x-request-id"),
        [HEAD_TRACEPARENT] = STR("traceparent"),
    };
    for (int i = 0; i < HEAD_KNOWN_COUNT; i++)
        if (names[i].len == name.len && names[i].ptr[0] == (name.ptr[0] | 0x20) &&
            str_equal_ignoring_case(names[i], name))
            return i;
    return -1;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

/* A name, an IPv4 address or an IPv6 address in brackets, with or without a port (RFC 9110, 7.2). */
static bool is_host(struct str host)
{
    size_t i = 0;
    if (host.len && host.ptr[0] == '[') {
        for (i = 1; i < host.len && host.ptr[i] != ']'; i++)
            if (!(is_host_char(host.ptr[i]) || host.ptr[i] == ':'))
                return false;
        if (i < 3 || i++ == host.len)
            return false;
    } else {
        while (i < host.len && is_host_char(host.ptr[i]))
            i++;
        if (i == 0)
            return false;
    }
    if (i == host.len)
        return true;
    if (host.ptr[i++] != ':' || host.len - i > 5)
        return false;
    for (; i < host.len; i++)
        if (host.ptr[i] < '0' || host.ptr[i] > '9')
            return false;
    return true;
}

/* Origin form, absolute form, or the asterisk of OPTIONS (RFC 9112, 3.2). */
static bool split_target(struct http_head *head)
{
    struct str target = head->path;
    if (target.len > HEAD_URI_MAX)
        return fail(head, ERR_URI_TOO_LONG, "The address is longer than 8 KB");
    if (target.len && memchr(target.ptr, '#', target.len))
        return fail(head, ERR_BAD_REQUEST, "The address holds a fragment");
    if (str_starts_with(target, STR("http://")) || str_starts_with(target, STR("https://"))) {
        size_t scheme = target.ptr[4] == ':' ? 7 : 8;
        struct str rest = {target.ptr + scheme, target.len - scheme};
        size_t authority = 0;
        while (authority < rest.len && rest.ptr[authority] != '/' && rest.ptr[authority] != '?')
            authority++;
        if (!is_host((struct str){rest.ptr, authority}))
            return fail(head, ERR_BAD_REQUEST, "The address names an odd host");
        target = (struct str){rest.ptr + authority, rest.len - authority};
        if (target.len == 0 || target.ptr[0] == '?')
            return fail(head, ERR_BAD_REQUEST, "The address has no path");
    } else if (target.len == 0 || (target.ptr[0] != '/' && !(str_equal(target, STR("*")) &&
                                                             str_equal(head->method, STR("OPTIONS"))))) {
        return fail(head, ERR_BAD_REQUEST, "The address is not a path");
    }
    const char *mark = memchr(target.ptr, '?', target.len);
    head->path = mark ? (struct str){target.ptr, (size_t)(mark - target.ptr)} : target;
    head->query = mark ? (struct str){mark + 1, target.len - head->path.len - 1} : STR_NONE;
    return true;
}

static bool collect_known(struct http_head *head)
{
    for (size_t i = 0; i < head->field_count; i++) {
        struct head_field *field = &head->fields[i];
        field->value = str_trim(field->value);
        int known = known_of(field->name);
        if (known < 0)
            continue;
        if (head->known[known].ptr)
            return fail(head, ERR_BAD_REQUEST, "A header field that may come once comes twice");
        head->known[known] = field->value;
    }
    return true;
}

static bool check_fields(struct http_head *head)
{
    struct str coding = head->known[HEAD_TRANSFER_ENCODING];
    if (!head->known[HEAD_HOST].ptr && !head->http_1_0)
        return fail(head, ERR_BAD_REQUEST, "The Host field is missing");
    if (head->known[HEAD_HOST].ptr && !is_host(head->known[HEAD_HOST]))
        return fail(head, ERR_BAD_REQUEST, "The Host field is odd");
    if (coding.ptr && head->http_1_0)
        return fail(head, ERR_BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding");
    if (coding.ptr && head->known[HEAD_CONTENT_LENGTH].ptr)
        return fail(head, ERR_BAD_REQUEST, "Content-Length and Transfer-Encoding exclude each other");
    if (coding.ptr && !str_equal_ignoring_case(coding, STR("chunked")))
        return fail(head, ERR_NOT_IMPLEMENTED, "The only transfer coding here is chunked");
    struct str expect = head->known[HEAD_EXPECT];
    if (expect.ptr && !head->http_1_0) {
        if (!str_equal_ignoring_case(expect, STR("100-continue")))
            return fail(head, ERR_EXPECTATION, "The only expectation met here is 100-continue");
        head->expects_continue = true;
    }
    return true;
}

static bool parser_fault(struct http_head *head, llhttp_errno_t error)
{
    if (head->code)
        return false;
    switch (error) {
    case HPE_INVALID_METHOD:
        return fail(head, ERR_NOT_IMPLEMENTED, "The method is unknown here");
    case HPE_INVALID_VERSION:
        return fail(head, ERR_HTTP_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken here");
    case HPE_INVALID_TRANSFER_ENCODING:
        return fail(head, ERR_BAD_REQUEST, "The Transfer-Encoding field cannot be used");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return fail(head, ERR_BAD_REQUEST, "Content-Length comes twice or beside Transfer-Encoding");
    case HPE_INVALID_CONTENT_LENGTH:
        return fail(head, ERR_BAD_REQUEST, "Content-Length is not a number");
    case HPE_INVALID_HEADER_TOKEN:
        return fail(head, ERR_BAD_REQUEST, "A header field is malformed");
    case HPE_INVALID_CHUNK_SIZE:
        return fail(head, ERR_BAD_REQUEST, "A chunk's size is malformed");
    case HPE_INVALID_URL:
        return fail(head, ERR_BAD_REQUEST, "The address is malformed");
    default:
        return fail(head, ERR_BAD_REQUEST, "The request is malformed");
    }
}

void head_clear(struct http_head *head)
{
    llhttp_init(&head->parser, HTTP_REQUEST, &settings);
    head->parser.data = head;
    head->method = head->path = head->query = STR_NONE;
    head->http_1_0 = head->keep_alive = head->chunked = head->expects_continue = head->complete = false;
    head->content_length = 0;
    head->field_count = 0;
    MEMORY_POISON(head->fields, sizeof head->fields);
    memset(head->known, 0, sizeof head->known);
    head->sink = NULL;
    head->body_raw = head->body_decoded = head->body_max = 0;
    head->code = ERR_OK;
    head->detail = NULL;
}

/* Anything visible: which methods there are says llhttp. */
static bool is_method_char(char c)
{
    return c > 0x20 && c < 0x7f;
}

bool head_parse(struct http_head *head, const char *bytes, size_t len)
{
    head_clear(head);
    while (len && (*bytes == '\r' || *bytes == '\n'))
        bytes++, len--;
    size_t method_len = 0;
    while (method_len < len && is_method_char(bytes[method_len]))
        method_len++;
    if (method_len == len || bytes[method_len] != ' ')
        return fail(head, ERR_BAD_REQUEST, "The request line is malformed");
    head->method = (struct str){bytes, method_len};
    llhttp_errno_t error = llhttp_execute(&head->parser, bytes, len);
    /* A head without a body completes the message and pauses at its end; one with a body just ends. */
    if (error != HPE_OK && !(error == HPE_PAUSED && llhttp_get_error_pos(&head->parser) == bytes + len))
        return parser_fault(head, error);
    if (!head->complete)
        return fail(head, ERR_BAD_REQUEST, "The request is malformed");
    if (head->parser.http_major != 1 || head->parser.http_minor > 1)
        return fail(head, ERR_HTTP_VERSION, "Only HTTP/1.0 and HTTP/1.1 are spoken here");
    head->http_1_0 = head->parser.http_minor == 0;
    if (head->parser.method == HTTP_CONNECT)
        return fail(head, ERR_NOT_IMPLEMENTED, "This is not a proxy");
    return split_target(head) && collect_known(head) && check_fields(head);
}

static struct str moved(struct str s, const char *from, const char *to)
{
    return s.ptr ? (struct str){to + (s.ptr - from), s.len} : s;
}

void head_move(struct http_head *head, const char *from, const char *to)
{
    head->method = moved(head->method, from, to);
    head->path = moved(head->path, from, to);
    head->query = moved(head->query, from, to);
    for (size_t i = 0; i < head->field_count; i++) {
        head->fields[i].name = moved(head->fields[i].name, from, to);
        head->fields[i].value = moved(head->fields[i].value, from, to);
    }
    for (size_t i = 0; i < HEAD_KNOWN_COUNT; i++)
        head->known[i] = moved(head->known[i], from, to);
}

struct str head_field(const struct http_head *head, struct str name)
{
    for (size_t i = 0; i < head->field_count; i++)
        if (str_equal_ignoring_case(head->fields[i].name, name))
            return head->fields[i].value;
    return STR_NONE;
}

enum body_result body_parse(struct http_head *head, const char *bytes, size_t len, size_t *used)
{
    *used = 0;
    llhttp_errno_t error = llhttp_execute(&head->parser, bytes, len);
    if (error == HPE_OK) {
        *used = len;
        head->body_raw += len;
        if (head->body_raw > 8 * head->body_decoded + BODY_FRAMING_MAX) {
            fail(head, ERR_BODY_TOO_LARGE, "The body is mostly framing");
            return BODY_BAD;
        }
        return BODY_MORE;
    }
    if (error != HPE_PAUSED) {
        parser_fault(head, error);
        return BODY_BAD;
    }
    *used = (size_t)(llhttp_get_error_pos(&head->parser) - bytes);
    CHECK(*used <= len);
    return BODY_WHOLE;
}
