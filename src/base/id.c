#include "base/id.h"

#include "base/check.h"
#include "base/clock.h"

#include <sodium.h>
#include <sys/random.h>

/* Random bytes are fetched in blocks: one system call serves some hundred ids. */
#define RANDOM_BLOCK 1024

static void random_bytes(uint8_t *out, size_t count)
{
    static _Thread_local uint8_t block[RANDOM_BLOCK];
    static _Thread_local size_t left;
    if (left < count) {
        CHECK(getrandom(block, sizeof block, 0) == (ssize_t)sizeof block);
        left = sizeof block;
    }
    left -= count;
    memcpy(out, block + left, count);
    memset(block + left, 0, count);
}

static void put_time(struct uuid *id, uint64_t ms)
{
    for (int i = 0; i < 6; i++)
        id->bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
}

/* Sub-millisecond order: the 12 bits after the version count up within one millisecond of one thread (RFC
 * 9562, 6.2, method 1), starting at a random value with its top bit clear. */
struct uuid uuid_new(void)
{
    static _Thread_local uint64_t last_ms;
    static _Thread_local uint32_t counter;
    struct uuid id;
    uint64_t ms = (uint64_t)(clock_wall_us() / 1000);
    random_bytes(id.bytes + 6, 10);
    if (ms > last_ms) {
        last_ms = ms;
        counter = ((uint32_t)id.bytes[6] << 8 | id.bytes[7]) & 0x7ff;
    } else if (++counter > 0xfff) {
        last_ms++;
        counter = 0;
    }
    put_time(&id, last_ms);
    id.bytes[6] = (uint8_t)(0x70 | counter >> 8);
    id.bytes[7] = (uint8_t)counter;
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

struct uuid uuid_floor(int64_t time_us)
{
    struct uuid id = {{0}};
    put_time(&id, time_us > 0 ? (uint64_t)(time_us / 1000) : 0);
    id.bytes[6] = 0x70;
    id.bytes[8] = 0x80;
    return id;
}

int64_t uuid_time_ms(struct uuid id)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | id.bytes[i];
    return ms;
}

struct uuid uuid_derived(struct uuid space, struct str text)
{
    struct uuid id;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof id.bytes);
    crypto_generichash_update(&state, space.bytes, sizeof space.bytes);
    crypto_generichash_update(&state, (const unsigned char *)text.ptr, text.len);
    crypto_generichash_final(&state, id.bytes, sizeof id.bytes);
    id.bytes[6] = (uint8_t)(0x80 | (id.bytes[6] & 0x0f));
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

void uuid_hex(struct uuid id, char out[32])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        out[2 * i] = digits[id.bytes[i] >> 4];
        out[2 * i + 1] = digits[id.bytes[i] & 15];
    }
}

/* Small letters only: an identifier has one spelling. */
static int hex_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(struct str text, struct uuid *id)
{
    bool hyphens = text.len == 36;
    if (!hyphens && text.len != 32)
        return false;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if (hyphens && (at == 8 || at == 13 || at == 18 || at == 23) && text.ptr[at++] != '-')
            return false;
        int high = hex_value(text.ptr[at]), low = hex_value(text.ptr[at + 1]);
        if (high < 0 || low < 0)
            return false;
        id->bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

size_t id_format(struct uuid id, const char *prefix, char out[ID_TEXT_MAX])
{
    size_t len = strlen(prefix);
    CHECK(len + 1 + 32 + 1 <= ID_TEXT_MAX);
    memcpy(out, prefix, len);
    out[len++] = '_';
    uuid_hex(id, out + len);
    out[len + 32] = '\0';
    return len + 32;
}

bool id_parse_prefixed(struct str text, const char *prefix, struct uuid *id)
{
    size_t len = strlen(prefix);
    if (text.len != len + 33 || memcmp(text.ptr, prefix, len) != 0 || text.ptr[len] != '_')
        return false;
    return uuid_parse((struct str){text.ptr + len + 1, 32}, id);
}
