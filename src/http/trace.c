/* Request ids and traces. Ids need not be secret, so they come from a small generator of the loop
 * (xoshiro256**), which the kernel seeds. */
#include "http/server_internal.h"

#include <endian.h>
#include <sodium.h>

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

uint64_t loop_random(struct event_loop *loop)
{
    uint64_t *s = loop->random;
    if (!(s[0] | s[1] | s[2] | s[3]))
        randombytes_buf(s, sizeof loop->random);
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Eight digits in one word, since each request has some eighty of them: a byte for each nibble, 39 more for
 * those that are letters. The first digit is in the highest byte. */
static uint64_t hex_digits(uint32_t value)
{
    uint64_t digits = value;
    digits = (digits | digits << 16) & 0x0000ffff0000ffff;
    digits = (digits | digits << 8) & 0x00ff00ff00ff00ff;
    digits = (digits | digits << 4) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = (digits + 0x0606060606060606) >> 4 & 0x0101010101010101;
    return digits + 0x3030303030303030 + letters * ('a' - 10 - '0');
}

static char *hex_write(char *to, uint64_t value)
{
    uint64_t words[] = {htobe64(hex_digits((uint32_t)(value >> 32))), htobe64(hex_digits((uint32_t)value))};
    memcpy(to, words, sizeof words);
    return to + sizeof words;
}

/* 1 to 128 letters, digits and - _ . : ; what else a client sends is not taken into logs. */
static bool is_request_id(struct str text)
{
    if (text.len == 0 || text.len > 128)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
              c == '_' || c == '.' || c == ':'))
            return false;
    }
    return true;
}

static bool all_hex(const char *text, size_t len, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < len; i++) {
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
        *all_zero &= text[i] == '0';
    }
    return true;
}

/* "00-<32 hex>-<16 hex>-<2 hex>" (W3C Trace Context, 3.2); later versions may carry more behind. */
static bool is_traceparent(struct str text)
{
    bool zero;
    if (text.len < 55 || text.ptr[2] != '-' || text.ptr[35] != '-' || text.ptr[52] != '-')
        return false;
    if (!all_hex(text.ptr, 2, &zero) || memcmp(text.ptr, "ff", 2) == 0 || (zero && text.len != 55) ||
        (text.len > 55 && text.ptr[55] != '-'))
        return false;
    return all_hex(text.ptr + 3, 32, &zero) && !zero && all_hex(text.ptr + 36, 16, &zero) && !zero &&
           all_hex(text.ptr + 53, 2, &zero);
}

void trace_begin(struct http_exchange *x)
{
    struct str given = x->head.known[HEAD_REQUEST_ID];
    if (is_request_id(given)) {
        memcpy(x->request_id, given.ptr, given.len);
        x->req.request_id = (struct str){x->request_id, given.len};
    } else {
        char *end = hex_write(x->request_id, loop_random(x->loop));
        end = hex_write(end, loop_random(x->loop));
        x->request_id[12] = '4'; /* the version and variant of a random uuid */
        x->request_id[16] = 'a';
        x->req.request_id = (struct str){x->request_id, (size_t)(end - x->request_id)};
    }
    /* The trace goes on under a span of our own. */
    struct str parent = x->head.known[HEAD_TRACEPARENT];
    char *to = x->traceparent;
    if (is_traceparent(parent)) {
        memcpy(to, parent.ptr, 55);
        memcpy(to, "00", 2);
    } else {
        memcpy(to, "00-", 3);
        hex_write(hex_write(to + 3, loop_random(x->loop)), loop_random(x->loop) | 1);
        to[35] = '-';
        memcpy(to + 52, "-01", 3);
    }
    hex_write(to + 36, loop_random(x->loop) | 1);
    to[52] = '-';
    x->req.traceparent = (struct str){to, 55};
}
