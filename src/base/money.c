#include "base/money.h"

#include "base/check.h"

typedef __int128 wide;

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
    return (struct money){minor, currency};
}

struct points points_of(int64_t count)
{
    return (struct points){count};
}

static bool within(wide minor, struct currency currency, struct money *result)
{
    if (minor < -(wide)MONEY_MINOR_MAX || minor > (wide)MONEY_MINOR_MAX)
        return false;
    *result = (struct money){(int64_t)minor, currency};
    return true;
}

bool money_add(struct money a, struct money b, struct money *result)
{
    CHECK(currency_equal(a.currency, b.currency));
    return within((wide)a.minor + b.minor, a.currency, result);
}

bool money_times(struct money a, int64_t quantity, struct money *result)
{
    return within((wide)a.minor * quantity, a.currency, result);
}

static int64_t capped(wide value)
{
    return value > (wide)RATIO_MAX ? RATIO_MAX : (int64_t)value;
}

static wide product(int64_t value, int64_t numerator, int64_t denominator)
{
    CHECK(value >= 0 && numerator >= 0 && denominator > 0);
    return (wide)value * numerator;
}

int64_t ratio_floor(int64_t value, int64_t numerator, int64_t denominator)
{
    return capped(product(value, numerator, denominator) / denominator);
}

int64_t ratio_ceil(int64_t value, int64_t numerator, int64_t denominator)
{
    return capped((product(value, numerator, denominator) + denominator - 1) / denominator);
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
