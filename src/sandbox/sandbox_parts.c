#include "sandbox/carrier.h"
#include "sandbox/gateway.h"

const struct sandbox_part *const sandbox_parts[] = {&sandbox_gateway, &sandbox_carrier, NULL};
