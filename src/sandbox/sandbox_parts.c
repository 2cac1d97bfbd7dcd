#include "sandbox/gateway.h"

const struct sandbox_part *const sandbox_parts[] = {&sandbox_gateway, NULL};
