/* The bytes of a connection, whole and in pieces. The first bytes of the input choose where it is cut.
 * Whatever comes, nothing may crash or leak, and the pieces in which bytes arrive must not change what is
 * understood: the same requests, the same bodies, the same refusal.
 *
 * As on a real connection one head serves one request after the other, and its bytes lie in an arena that is
 * reset in between: whatever still points there is poisoned memory. A head that failed is moved and read as a
 * good one is, for the server does so when it logs and answers. server_fuzz.c does the same with the server.
 */
#include "base/arena.h"
#include "base/check.h"
#include "http/head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 5000

struct result {
    struct buf text; /* what was understood, one request after the other */
    bool refused;
};

/* All that the server may look at, good head or failed one. */
static void read_head(const struct http_head *head)
{
    const struct str parts[] = {head->method, head->path, head->query};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        sum += str_hash(parts[i]);
    for (size_t i = 0; i < HEAD_KNOWN_COUNT; i++)
        sum += str_hash(head->known[i]);
    CHECK(head->field_count <= HEAD_FIELDS_MAX);
    for (size_t i = 0; i < head->field_count; i++)
        sum += str_hash(head->fields[i].name) + str_hash(head->fields[i].value);
    static volatile uint64_t kept; /* so that the reads are made */
    kept = sum;
    (void)kept;
}

/* A copy of the head's bytes that lives as long as the request, as connection.c makes it. */
static void own_head(struct http_head *head, struct arena *arena, const char *bytes, size_t len)
{
    char *copy = arena_bytes(arena, len);
    memcpy(copy, bytes, len);
    head_move(head, bytes, copy);
    read_head(head);
}

static void note_head(struct result *result, const struct http_head *head)
{
    buf_printf(&result->text, "%.*s %.*s ?%.*s %d%d%d %llu %zu\n", STR_ARG(head->method), STR_ARG(head->path),
               STR_ARG(head->query), head->http_1_0, head->keep_alive, head->chunked,
               (unsigned long long)head->content_length, head->field_count);
    for (size_t i = 0; i < head->field_count; i++)
        buf_printf(&result->text, "%.*s=%.*s\n", STR_ARG(head->fields[i].name),
                   STR_ARG(head->fields[i].value));
    CHECK(head->field_count <= HEAD_FIELDS_MAX && head->path.len <= HEAD_URI_MAX);
    CHECK(!(head->known[HEAD_TRANSFER_ENCODING].ptr && head->known[HEAD_CONTENT_LENGTH].ptr));
    CHECK(head->http_1_0 || head->known[HEAD_HOST].len > 0);
    for (size_t i = 0; i < head->field_count; i++) {
        struct str value = head->fields[i].value, name = head->fields[i].name;
        CHECK(name.len > 0 && !memchr(name.ptr, ' ', name.len));
        CHECK(!value.len || (!memchr(value.ptr, '\r', value.len) && !memchr(value.ptr, '\n', value.len) &&
                             !memchr(value.ptr, '\0', value.len)));
    }
}

/* Plays the connection: input is gathered until it can be used. piece(n) is the length of the n-th piece. */
static struct result play(const char *bytes, size_t len, const uint8_t *cuts, size_t cut_count)
{
    struct result result = {.text = buf_new((size_t)64 << 20)};
    struct http_head *head = calloc(1, sizeof *head);
    struct buf input = buf_new((size_t)1 << 24), body = buf_new(BODY_MAX);
    struct head_scan scan = {0};
    bool in_body = false;
    size_t at = 0, turn = 0;
    struct arena *arena = arena_new();
    CHECK(head);
    while (at < len && !result.refused) {
        size_t piece = cut_count ? (size_t)cuts[turn++ % cut_count] + 1 : len;
        if (piece > len - at)
            piece = len - at;
        buf_append(&input, (struct str){bytes + at, piece});
        at += piece;
        size_t used = 0;
        while (used < input.len && !result.refused) {
            const char *from = input.ptr + used;
            size_t left = input.len - used;
            enum error_code code = ERR_OK;
            const char *detail = NULL;
            size_t taken = 0;
            if (!in_body) {
                enum head_scan_result found = head_scan(&scan, from, left, &taken, &code, &detail);
                if (found == HEAD_MORE)
                    break;
                if (found == HEAD_BAD) {
                    CHECK(code != ERR_OK && detail);
                    arena_reset(arena);
                    head_clear(head);
                    read_head(head);
                    result.refused = true;
                    buf_printf(&result.text, "refused at head: %d\n", (int)code);
                    break;
                }
                CHECK(taken > 0 && taken <= HEAD_BYTES_MAX && taken <= left);
                scan = (struct head_scan){0};
                arena_reset(arena);
                bool good = head_parse(head, from, taken);
                own_head(head, arena, from, taken);
                if (!good) {
                    CHECK(head->code != ERR_OK && head->detail);
                    result.refused = true;
                    buf_printf(&result.text, "refused: %d\n", (int)head->code);
                    break;
                }
                note_head(&result, head);
                if (head_has_body(head)) {
                    in_body = true;
                    head->body_max = BODY_MAX;
                    head->sink = &body;
                }
            } else {
                enum body_result got = body_parse(head, from, left, &taken);
                if (got == BODY_BAD) {
                    CHECK(head->code != ERR_OK);
                    result.refused = true;
                    break;
                }
                CHECK(taken <= left && body.len <= BODY_MAX && !body.overflow);
                if (got == BODY_WHOLE) {
                    buf_printf(&result.text, "body %zu %llx\n", body.len,
                               (unsigned long long)str_hash(buf_str(&body)));
                    buf_clear(&body);
                    in_body = false;
                }
            }
            used += taken;
        }
        memmove(input.ptr, input.ptr + used, input.len - used);
        input.len -= used;
    }
    buf_printf(&result.text, "%s\n", in_body ? "in a body" : "between");
    arena_free(arena);
    free(head);
    buf_free(&input);
    buf_free(&body);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct result whole = play((const char *)data + 3, size - 3, NULL, 0);
    struct result pieces = play((const char *)data + 3, size - 3, data, 3);
    /* A refusal inside a body may come sooner in pieces or later; what was understood before must be the
     * same. */
    if (!whole.refused && !pieces.refused)
        CHECK(str_equal(buf_str(&whole.text), buf_str(&pieces.text)));
    CHECK(whole.refused == pieces.refused);
    buf_free(&whole.text);
    buf_free(&pieces.text);
    return 0;
}
