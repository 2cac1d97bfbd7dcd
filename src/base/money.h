/* Money and points: integers in their smallest unit, never floating point. The two are different types, and
 * money of two currencies does not mix. Sums and products of amounts that are each within their bounds can
 * leave them: arithmetic says so, and never stops the process. */
#ifndef CATHAY_BASE_MONEY_H
#define CATHAY_BASE_MONEY_H

#include "base/str.h"

/* ISO 4217 code, three letters and a terminator. */
struct currency {
    char code[4];
};

struct money {
    int64_t minor; /* cents, yen … */
    struct currency currency;
};

struct points {
    int64_t count;
};

/* The largest amount that the shop handles in one sum. */
#define MONEY_MINOR_MAX ((int64_t)1000000000000000)
#define POINTS_MAX ((int64_t)1000000000000000)

/* What one order may total, and the most points that one smallest unit of money may cost or earn: together
 * the points of an order stay within POINTS_MAX. api/openapi.yaml says the same of cash_minor. */
#define ORDER_TOTAL_MINOR_MAX ((int64_t)1000000000000)
#define POINTS_PER_MINOR_MAX ((int64_t)1000)

/* False unless text is three capital letters. */
bool currency_parse(struct str text, struct currency *currency);
bool currency_equal(struct currency a, struct currency b);
struct str currency_str(const struct currency *currency);

struct money money_of(int64_t minor, struct currency currency);
struct points points_of(int64_t count);

/* False where the result is beyond MONEY_MINOR_MAX in either direction; *result is untouched then. The
 * currencies of a sum are the same. */
bool money_add(struct money a, struct money b, struct money *result) __attribute__((warn_unused_result));
bool money_times(struct money a, int64_t quantity, struct money *result) __attribute__((warn_unused_result));

/* The roundings of the shop: value * numerator / denominator, towards zero, and upwards. value >= 0,
 * numerator >= 0, denominator > 0. A result beyond RATIO_MAX is RATIO_MAX, which no balance and no total
 * reaches. */
#define RATIO_MAX INT64_MAX
int64_t ratio_floor(int64_t value, int64_t numerator, int64_t denominator);
int64_t ratio_ceil(int64_t value, int64_t numerator, int64_t denominator);

/* Splits `total` over `count` weights so that the parts add up to it exactly (largest remainder; of equal
 * remainders the earlier part gains). Weights are >= 0; if all are zero, all of the total must be zero too. A
 * part never exceeds its weight when total <= the sum of the weights. */
void split_by_weight(int64_t total, const int64_t *weights, size_t count, int64_t *parts);

#endif
