/* The bytes of one request: finding the end of its head, parsing the head, decoding the body's framing. Pure
 * functions on memory, so that unit tests and the fuzzer need no socket. llhttp does the grammar; what it
 * lets pass and the limits that it lacks are checked here (RFC 9112): version, Host, double fields, both
 * Content-Length and Transfer-Encoding, line folding, bare CR and LF, NUL, sizes.
 *
 * Nothing is copied: a parsed head points into the bytes that it was parsed from. */
#ifndef CATHAY_HTTP_HEAD_H
#define CATHAY_HTTP_HEAD_H

#include "base/buf.h"
#include "base/error.h"

#include <llhttp.h>

#define HEAD_BYTES_MAX ((size_t)16 * 1024) /* request line and header section with all their line ends */
#define HEAD_FIELDS_MAX 100
#define HEAD_URI_MAX ((size_t)8 * 1024)
/* Bytes of framing that a chunked body may spend beyond eight times its contents: extensions, trailers. */
#define BODY_FRAMING_MAX ((size_t)16 * 1024)

/* Fields that the server itself looks at; each may come once. */
enum head_known {
    HEAD_HOST,
    HEAD_CONTENT_LENGTH,
    HEAD_TRANSFER_ENCODING,
    HEAD_EXPECT,
    HEAD_AUTHORIZATION,
    HEAD_CONTENT_TYPE,
    HEAD_IDEMPOTENCY_KEY,
    HEAD_REQUEST_ID,
    HEAD_TRACEPARENT,
    HEAD_KNOWN_COUNT
};

struct head_field {
    struct str name, value;
};

/* Zeroed before the first bytes of a request. */
struct head_scan {
    size_t line;    /* where the current line begins */
    size_t scanned; /* up to here there is no line end after `line` */
    bool in_fields; /* the request line is complete */
};

enum head_scan_result { HEAD_MORE, HEAD_WHOLE, HEAD_BAD };

struct http_head {
    llhttp_t parser;
    struct str method, path, query; /* query: STR_NONE without '?' */
    bool http_1_0;
    bool keep_alive;
    bool chunked;
    bool expects_continue;
    bool complete; /* the head; header callbacks after it belong to trailers */
    uint64_t content_length;
    size_t field_count;
    struct head_field fields[HEAD_FIELDS_MAX];
    struct str known[HEAD_KNOWN_COUNT];
    /* of the body */
    struct buf *sink; /* takes the body's bytes; NULL: they are thrown away */
    size_t body_raw, body_decoded, body_max;
    /* why it was refused */
    enum error_code code;
    const char *detail;
};

/* Looks for the end of the head in all bytes received so far (the same bytes again, with more behind them, at
 * each call). HEAD_WHOLE: *head_len bytes belong to it. HEAD_BAD: *code and *detail say why. */
enum head_scan_result head_scan(struct head_scan *scan, const char *bytes, size_t len, size_t *head_len,
                                enum error_code *code, const char **detail);

/* Nothing of the request before is left: every text is absent, every count 0. */
void head_clear(struct http_head *head);
/* Parses exactly the bytes that head_scan() found. False: head->code and head->detail; what was understood
 * until then points into the bytes, the rest is absent. */
bool head_parse(struct http_head *head, const char *bytes, size_t len);
/* Moves every pointer of the head from the bytes at `from` to a copy at `to`. */
void head_move(struct http_head *head, const char *from, const char *to);
static inline bool head_has_body(const struct http_head *head)
{
    return head->chunked || head->content_length > 0;
}
/* STR_NONE when absent; of several the first. */
struct str head_field(const struct http_head *head, struct str name);

enum body_result { BODY_MORE, BODY_WHOLE, BODY_BAD };
/* Takes bytes behind the head; *used of them belong to the body. Bodies over head->body_max are
 * ERR_BODY_TOO_LARGE. */
enum body_result body_parse(struct http_head *head, const char *bytes, size_t len, size_t *used);

#endif
