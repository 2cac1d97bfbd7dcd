#include "shop/shipping/parcel.h"

#include "base/check.h"

/* A parcel may go from any rank to a higher one. Delivered and the other ends are equal: the first of them
 * that is told stays, whatever comes late. Unknown says no more than that there is a label. */
static const struct {
    const char *text;
    int rank;
} statuses[PARCEL_STATUS_COUNT] = {
    [PARCEL_UNKNOWN] = {"unknown", 1},
    [PARCEL_PRE_TRANSIT] = {"pre_transit", 3},
    [PARCEL_IN_TRANSIT] = {"in_transit", 4},
    [PARCEL_OUT_FOR_DELIVERY] = {"out_for_delivery", 5},
    [PARCEL_AVAILABLE_FOR_PICKUP] = {"available_for_pickup", 6},
    [PARCEL_FAILURE] = {"failure", 7},
    [PARCEL_ERROR] = {"error", 7},
    [PARCEL_CANCELLED] = {"cancelled", 7},
    [PARCEL_DELIVERED] = {"delivered", 8},
    [PARCEL_RETURN_TO_SENDER] = {"return_to_sender", 8},
};

const char *parcel_status_text(enum parcel_status status)
{
    CHECK((unsigned)status < PARCEL_STATUS_COUNT);
    return statuses[status].text;
}

bool parcel_status_parse(struct str text, enum parcel_status *status)
{
    for (unsigned i = 0; i < PARCEL_STATUS_COUNT; i++) {
        if (str_equal(text, str_from(statuses[i].text))) {
            *status = (enum parcel_status)i;
            return true;
        }
    }
    return false;
}

static int rank_of(struct str state)
{
    enum parcel_status status;
    if (parcel_status_parse(state, &status))
        return statuses[status].rank;
    if (str_equal(state, STR("labelled")))
        return 1;
    CHECK(str_equal(state, STR("created")));
    return 0;
}

static bool is_under_way(enum parcel_status status)
{
    return status == PARCEL_IN_TRANSIT || status == PARCEL_OUT_FOR_DELIVERY ||
           status == PARCEL_AVAILABLE_FOR_PICKUP;
}

const char *carrier_refund_text(enum carrier_refund refund)
{
    static const char *const texts[CARRIER_REFUND_COUNT] = {
        [CARRIER_REFUND_NONE] = "none",
        [CARRIER_REFUND_SUBMITTED] = "submitted",
        [CARRIER_REFUND_REFUNDED] = "refunded",
        [CARRIER_REFUND_REJECTED] = "rejected",
        [CARRIER_REFUND_NOT_APPLICABLE] = "not_applicable",
    };
    CHECK((unsigned)refund < CARRIER_REFUND_COUNT);
    return texts[refund];
}

bool parcel_moves(struct str state, enum parcel_status to, bool newer)
{
    enum parcel_status from;
    bool failed = parcel_status_parse(state, &from) && (from == PARCEL_FAILURE || from == PARCEL_ERROR);
    if (failed && newer && is_under_way(to))
        return true;
    return statuses[to].rank > rank_of(state);
}

const char *parcel_news(struct str state, enum parcel_status to)
{
    bool left = rank_of(state) >= statuses[PARCEL_IN_TRANSIT].rank;
    switch (to) {
    case PARCEL_IN_TRANSIT:
    case PARCEL_OUT_FOR_DELIVERY:
        return left ? NULL : "shipped";
    case PARCEL_AVAILABLE_FOR_PICKUP:
        return "ready";
    case PARCEL_FAILURE:
        return "failed";
    case PARCEL_DELIVERED:
        return "delivered";
    case PARCEL_RETURN_TO_SENDER:
        return "returned";
    default:
        return NULL;
    }
}

bool parcel_fulfilment_state(enum parcel_status status, enum fulfilment_state *state)
{
    switch (status) {
    case PARCEL_IN_TRANSIT:
    case PARCEL_OUT_FOR_DELIVERY:
    case PARCEL_AVAILABLE_FOR_PICKUP:
        *state = FULFILMENT_SHIPPED;
        return true;
    case PARCEL_DELIVERED:
        *state = FULFILMENT_DELIVERED;
        return true;
    case PARCEL_RETURN_TO_SENDER:
        *state = FULFILMENT_RETURNED;
        return true;
    default:
        return false;
    }
}
