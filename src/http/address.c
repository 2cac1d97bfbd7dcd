#include "http/address.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address address_of(const struct sockaddr_storage *peer)
{
    struct address address = {{0}};
    if (peer->ss_family == AF_INET) {
        memcpy(address.bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(address.bytes + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    } else if (peer->ss_family == AF_INET6) {
        memcpy(address.bytes, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    } else { /* a Unix socket: somebody on this host */
        static const uint8_t loopback[] = {127, 0, 0, 1};
        memcpy(address.bytes, mapped_prefix, sizeof mapped_prefix);
        memcpy(address.bytes + 12, loopback, sizeof loopback);
    }
    return address;
}

bool address_parse(struct str text, struct address *address)
{
    char plain[64];
    text = str_trim(text);
    if (text.len && text.ptr[0] == '[') {
        const char *end = memchr(text.ptr, ']', text.len);
        if (!end)
            return false;
        text = (struct str){text.ptr + 1, (size_t)(end - text.ptr) - 1};
    } else if (text.len) {
        const char *colon = memchr(text.ptr, ':', text.len);
        if (colon && memchr(text.ptr, '.', (size_t)(colon - text.ptr)))
            text.len = (size_t)(colon - text.ptr);
    }
    if (text.len == 0 || text.len >= sizeof plain)
        return false;
    memcpy(plain, text.ptr, text.len);
    plain[text.len] = '\0';
    if (inet_pton(AF_INET, plain, address->bytes + 12) == 1) {
        memcpy(address->bytes, mapped_prefix, sizeof mapped_prefix);
        return true;
    }
    return inet_pton(AF_INET6, plain, address->bytes) == 1;
}

size_t address_format(const struct address *address, char out[48])
{
    bool is_v4 = memcmp(address->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
    CHECK(inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? address->bytes + 12 : address->bytes, out, 48));
    return strlen(out);
}

struct address address_network(struct address address)
{
    if (memcmp(address.bytes, mapped_prefix, sizeof mapped_prefix) != 0)
        memset(address.bytes + 8, 0, 8);
    return address;
}

enum error_code address_set_parse(struct str text, struct address_set *set, struct error *error)
{
    set->count = 0;
    while (text.len) {
        struct str entry = str_trim(str_split(&text, ',')), bits_text = entry;
        if (entry.len == 0)
            continue;
        struct str name = str_split(&bits_text, '/');
        struct address network;
        if (set->count == ADDRESS_SET_MAX || !address_parse(name, &network))
            return error_set(error, ERR_VALIDATION, "\"%.*s\" is not a network (or there are more than %d)",
                             STR_ARG(entry), ADDRESS_SET_MAX);
        bool is_v4 = memcmp(network.bytes, mapped_prefix, sizeof mapped_prefix) == 0;
        int64_t bits = is_v4 ? 32 : 128;
        if (bits_text.ptr && (!str_to_int64(bits_text, &bits) || bits < 0 || bits > (is_v4 ? 32 : 128)))
            return error_set(error, ERR_VALIDATION, "\"%.*s\" is not a network", STR_ARG(entry));
        set->entries[set->count].network = network;
        set->entries[set->count++].bits = (int)bits + (is_v4 ? 96 : 0);
    }
    return ERR_OK;
}

bool address_set_has(const struct address_set *set, const struct address *address)
{
    for (size_t i = 0; i < set->count; i++) {
        size_t whole = (size_t)set->entries[i].bits / 8, rest = (size_t)set->entries[i].bits % 8;
        const uint8_t *network = set->entries[i].network.bytes;
        if (memcmp(network, address->bytes, whole) == 0 &&
            (rest == 0 || (network[whole] ^ address->bytes[whole]) >> (8 - rest) == 0))
            return true;
    }
    return false;
}

struct address address_behind_proxies(const struct address_set *trusted, struct address peer,
                                      struct str forwarded)
{
    struct address client = peer;
    while (forwarded.len && address_set_has(trusted, &client)) {
        size_t from = forwarded.len;
        while (from && forwarded.ptr[from - 1] != ',')
            from--;
        struct address next;
        if (!address_parse((struct str){forwarded.ptr + from, forwarded.len - from}, &next))
            break;
        client = next;
        forwarded.len = from ? from - 1 : 0;
    }
    return client;
}

/* ---- counts: a chained table, touched once when a connection begins and once when it ends ---- */

#define COUNT_BUCKETS 4096

struct count {
    struct count *next;
    struct address address;
    int64_t open;
};

struct address_counts {
    pthread_mutex_t lock;
    struct count *buckets[COUNT_BUCKETS];
};

struct address_counts *address_counts_new(void)
{
    struct address_counts *counts = calloc(1, sizeof *counts);
    CHECK(counts);
    pthread_mutex_init(&counts->lock, NULL);
    return counts;
}

void address_counts_free(struct address_counts *counts)
{
    if (!counts)
        return;
    for (size_t i = 0; i < COUNT_BUCKETS; i++)
        while (counts->buckets[i]) {
            struct count *gone = counts->buckets[i];
            counts->buckets[i] = gone->next;
            free(gone);
        }
    pthread_mutex_destroy(&counts->lock);
    free(counts);
}

static struct count **place_of(struct address_counts *counts, const struct address *address)
{
    struct count **at = &counts->buckets[XXH3_64bits(address->bytes, 16) % COUNT_BUCKETS];
    while (*at && memcmp((*at)->address.bytes, address->bytes, 16) != 0)
        at = &(*at)->next;
    return at;
}

bool address_counts_take(struct address_counts *counts, const struct address *address, int64_t most)
{
    pthread_mutex_lock(&counts->lock);
    struct count **at = place_of(counts, address);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        CHECK(*at);
        (*at)->address = *address;
    }
    bool taken = (*at)->open < most;
    if (taken)
        (*at)->open++;
    pthread_mutex_unlock(&counts->lock);
    return taken;
}

void address_counts_give(struct address_counts *counts, const struct address *address)
{
    pthread_mutex_lock(&counts->lock);
    struct count **at = place_of(counts, address);
    CHECK(*at && (*at)->open > 0);
    if (--(*at)->open == 0) {
        struct count *gone = *at;
        *at = gone->next;
        free(gone);
    }
    pthread_mutex_unlock(&counts->lock);
}
