#include "sandbox/carrier.h"
#include "sandbox/gateway.h"
#include "sandbox/mailbox.h"

const struct sandbox_part *const sandbox_parts[] = {&sandbox_gateway, &sandbox_carrier, &sandbox_mailbox,
                                                    NULL};
