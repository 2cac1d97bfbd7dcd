/* Addresses of peers: parsing, networks, connections counted per address. IPv4 is kept as IPv4 mapped into
 * IPv6, so that there is one form. */
#ifndef CATHAY_HTTP_ADDRESS_H
#define CATHAY_HTTP_ADDRESS_H

#include "base/error.h"
#include "base/str.h"

#include <netinet/in.h>

struct address {
    uint8_t bytes[16];
};

struct address address_of(const struct sockaddr_storage *peer);
/* A plain address, or one with a port or brackets as proxies write them. */
bool address_parse(struct str text, struct address *address);
/* Terminated; the length is returned. */
size_t address_format(const struct address *address, char out[48]);

/* What one customer is given: an IPv4 address, or the /64 of an IPv6 one, within which she may choose. */
struct address address_network(struct address address);

#define ADDRESS_SET_MAX 64
struct address_set {
    size_t count;
    struct {
        struct address network;
        int bits;
    } entries[ADDRESS_SET_MAX];
};
/* "10.0.0.0/8, ::1": comma-separated; a wrong entry is ERR_VALIDATION. */
enum error_code address_set_parse(struct str text, struct address_set *set, struct error *error);
bool address_set_has(const struct address_set *set, const struct address *address);

/* The client behind proxies: the last address of X-Forwarded-For (several fields: joined by commas) that is
 * not in `trusted`; the peer itself when it is not trusted. */
struct address address_behind_proxies(const struct address_set *trusted, struct address peer,
                                      struct str forwarded);

/* Thread-safe. */
struct address_counts;
struct address_counts *address_counts_new(void);
void address_counts_free(struct address_counts *counts);
/* Counts one more and returns true, unless there are `most` already. */
bool address_counts_take(struct address_counts *counts, const struct address *address, int64_t most);
void address_counts_give(struct address_counts *counts, const struct address *address);

#endif
