/* Miles plus Cash: how many points may be redeemed on an order, what they are worth, and how the split falls
 * on the lines. Pure integer arithmetic; two roundings, both named in base/money.h: the value of points is
 * rounded down, and the points that cover a given amount are rounded up, so neither side gains a whole unit.
 */
#include "shop/loyalty/loyalty.h"

#include "base/check.h"

#define SHARE_WHOLE 10000

static struct cash_limits (*limits_of)(struct currency currency);

void miles_cash_limits_set(struct cash_limits (*of)(struct currency currency))
{
    limits_of = of;
}

struct cash_limits miles_cash_limits(struct currency currency)
{
    return limits_of ? limits_of(currency) : (struct cash_limits){1, MONEY_MINOR_MAX};
}

const char *miles_cash_refusal(struct cash_limits limits, int64_t cash_minor, int64_t *bound)
{
    bool below = cash_minor > 0 && cash_minor < limits.least;
    *bound = below ? limits.least : limits.most;
    return below ? "below_least_charge" : cash_minor > limits.most ? "above_most_charge" : NULL;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t points_covering(const struct miles_policy *policy, int64_t minor)
{
    return ratio_ceil(minor, policy->points_unit, policy->minor_unit);
}

enum miles_tender miles_tender_parse(struct str text)
{
    return str_equal(text, STR("points_only")) ? TENDER_POINTS_ONLY
           : str_equal(text, STR("cash_only")) ? TENDER_CASH_ONLY
                                               : TENDER_ANY;
}

enum miles_tender miles_tender_of(const struct miles_policy *policy, enum miles_tender tender,
                                  struct uuid_array category_path)
{
    for (size_t i = 0; i < category_path.count; i++)
        for (size_t j = 0; j < policy->excluded_categories.count; j++)
            if (uuid_equal(category_path.items[i], policy->excluded_categories.items[j]))
                return TENDER_CASH_ONLY;
    return tender;
}

void miles_quote(const struct miles_policy *policy, const struct miles_line *lines, size_t count,
                 int64_t available_points, struct miles_quote *quote)
{
    int64_t required_minor = 0, free_minor = 0, total_minor = 0;
    available_points = smaller(available_points, POINTS_MAX); /* what is beyond may cost RATIO_MAX */
    for (size_t i = 0; i < count; i++) {
        total_minor += lines[i].total_minor;
        if (lines[i].tender == TENDER_POINTS_ONLY)
            required_minor += lines[i].total_minor;
        else if (lines[i].tender == TENDER_ANY)
            free_minor += lines[i].total_minor;
    }
    int64_t share_minor = ratio_floor(total_minor, policy->maximum_share, SHARE_WHOLE);
    int64_t coverable_minor = required_minor + smaller(free_minor, larger(0, share_minor - required_minor));
    int64_t whole = points_covering(policy, coverable_minor);

    *quote = (struct miles_quote){
        .step = policy->step_points,
        .required = points_covering(policy, required_minor),
        .coverable_minor = coverable_minor,
        .total_minor = total_minor,
    };
    /* Below the worth of one smallest unit points would buy nothing. */
    int64_t least = larger(policy->minimum_points, points_covering(policy, 1));
    quote->minimum = quote->required > 0 ? quote->required : least;
    int64_t most =
        available_points >= whole ? whole : available_points - available_points % policy->step_points;
    if (available_points < whole && available_points >= quote->required)
        most = larger(most, quote->required);
    quote->maximum = most >= quote->minimum && coverable_minor > 0 ? most : 0;
    if (quote->maximum == 0)
        quote->minimum = 0;
}

int64_t miles_value_minor(const struct miles_policy *policy, const struct miles_quote *quote, int64_t points)
{
    return smaller(ratio_floor(points, policy->minor_unit, policy->points_unit), quote->coverable_minor);
}

const char *miles_points_refusal(const struct miles_quote *quote, int64_t points)
{
    if (points < quote->required)
        return "below_required";
    if (points == 0)
        return NULL;
    if (points > quote->maximum)
        return "above_maximum";
    if (points < quote->minimum)
        return "below_minimum";
    if (points % quote->step != 0 && points != quote->maximum && points != quote->required)
        return "off_step";
    return NULL;
}

void miles_split(const struct miles_policy *policy, const struct miles_quote *quote, int64_t points,
                 struct miles_line *lines, size_t count)
{
    int64_t weights[MILES_LINES_MAX], parts[MILES_LINES_MAX];
    CHECK(count > 0 && count <= MILES_LINES_MAX);
    int64_t left = points > 0 ? miles_value_minor(policy, quote, points) : 0;
    for (size_t i = 0; i < count; i++) {
        bool whole = points > 0 && lines[i].tender == TENDER_POINTS_ONLY;
        lines[i].points_value_minor = whole ? lines[i].total_minor : 0;
        left -= lines[i].points_value_minor;
        weights[i] = lines[i].tender == TENDER_ANY ? lines[i].total_minor : 0;
    }
    CHECK(left >= 0);
    split_by_weight(left, weights, count, parts);
    for (size_t i = 0; i < count; i++) {
        lines[i].points_value_minor += parts[i];
        lines[i].cash_minor = lines[i].total_minor - lines[i].points_value_minor;
        CHECK(lines[i].cash_minor >= 0);
        weights[i] = lines[i].points_value_minor;
    }
    split_by_weight(points, weights, count, parts);
    for (size_t i = 0; i < count; i++)
        lines[i].points = parts[i];
}

int64_t miles_lent(int64_t earned, int64_t available)
{
    CHECK(earned >= 0 && available >= 0);
    return larger(0, earned - available);
}

int64_t miles_earned(const struct miles_policy *policy, int64_t cash_minor)
{
    return smaller(ratio_floor(cash_minor, policy->earn_points, policy->earn_minor), POINTS_MAX);
}

const char *miles_rate_refusal(const struct miles_policy *policy)
{
    if (policy->points_unit > POINTS_PER_MINOR_MAX * policy->minor_unit)
        return "points_unit";
    if (policy->earn_points > POINTS_PER_MINOR_MAX * policy->earn_minor)
        return "earn_points";
    return NULL;
}
