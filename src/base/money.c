#include "base/money.h"

#include "base/check.h"

typedef __int128 wide;

static int64_t narrow(wide value)
{
    CHECK(value >= -(wide)MONEY_MINOR_MAX && value <= (wide)MONEY_MINOR_MAX);
    return (int64_t)value;
}

bool currency_parse(struct str text, struct currency *currency)
{
    if (text.len != 3)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (text.ptr[i] < 'A' || text.ptr[i] > 'Z')
            return false;
    memcpy(currency->code, text.ptr, 3);
    currency->code[3] = '\0';
    return true;
}

bool currency_equal(struct currency a, struct currency b)
{
    return memcmp(a.code, b.code, 3) == 0;
}

struct str currency_str(const struct currency *currency)
{
    return (struct str){currency->code, 3};
}

struct money money_of(int64_t minor, struct currency currency)
{
    return (struct money){narrow(minor), currency};
}

struct money money_add(struct money a, struct money b)
{
    CHECK(currency_equal(a.currency, b.currency));
    return (struct money){narrow((wide)a.minor + b.minor), a.currency};
}

struct money money_subtract(struct money a, struct money b)
{
    CHECK(currency_equal(a.currency, b.currency));
    return (struct money){narrow((wide)a.minor - b.minor), a.currency};
}

struct money money_times(struct money a, int64_t quantity)
{
    return (struct money){narrow((wide)a.minor * quantity), a.currency};
}

struct points points_of(int64_t count)
{
    return (struct points){narrow(count)};
}

struct points points_add(struct points a, struct points b)
{
    return (struct points){narrow((wide)a.count + b.count)};
}

struct points points_subtract(struct points a, struct points b)
{
    return (struct points){narrow((wide)a.count - b.count)};
}

static wide product(int64_t value, int64_t numerator, int64_t denominator)
{
    CHECK(value >= 0 && numerator >= 0 && denominator > 0);
    return (wide)value * numerator;
}

int64_t ratio_floor(int64_t value, int64_t numerator, int64_t denominator)
{
    return narrow(product(value, numerator, denominator) / denominator);
}

int64_t ratio_round(int64_t value, int64_t numerator, int64_t denominator)
{
    return narrow((product(value, numerator, denominator) * 2 + denominator) / ((wide)denominator * 2));
}

int64_t ratio_ceil(int64_t value, int64_t numerator, int64_t denominator)
{
    return narrow((product(value, numerator, denominator) + denominator - 1) / denominator);
}

void split_by_weight(int64_t total, const int64_t *weights, size_t count, int64_t *parts)
{
    wide sum = 0;
    CHECK(total >= 0);
    for (size_t i = 0; i < count; i++) {
        CHECK(weights[i] >= 0);
        sum += weights[i];
    }
    CHECK(sum > 0 || total == 0);
    int64_t left = total;
    for (size_t i = 0; i < count; i++) {
        parts[i] = sum > 0 ? (int64_t)((wide)total * weights[i] / sum) : 0;
        left -= parts[i];
    }
    /* Fewer units are left than there are parts; each goes to the largest remainder that has not got one.
     * Counts are order lines, at most a hundred, so the square loop costs nothing. A part that got one is
     * marked by comparing it with its floor. */
    for (; left > 0; left--) {
        size_t best = count;
        wide best_remainder = -1;
        for (size_t i = 0; i < count; i++) {
            wide floor = (wide)total * weights[i] / sum;
            wide remainder = (wide)total * weights[i] % sum;
            if (parts[i] == (int64_t)floor && remainder > best_remainder) {
                best = i;
                best_remainder = remainder;
            }
        }
        CHECK(best < count);
        parts[best]++;
    }
}
