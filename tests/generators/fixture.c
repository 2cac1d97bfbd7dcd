/* The handlers that the fixture contract demands; the tests call decoders and encoders, not these. */
#include "api.h"

#define HANDLER(name)                                                                                        \
    enum error_code name##_handle(struct request *req, const struct api_##name *in)                          \
    {                                                                                                        \
        (void)req;                                                                                           \
        return in ? ERR_OK : ERR_INTERNAL;                                                                   \
    }

HANDLER(thing_list)
HANDLER(thing_create)
HANDLER(thing_show)
HANDLER(thing_change)
HANDLER(thing_new)
HANDLER(part_delete)
HANDLER(thing_webhook)

enum error_code thing_webhook_early(struct request *req, const struct str *path_params, struct str bearer)
{
    (void)req;
    (void)path_params;
    return bearer.ptr ? ERR_OK : ERR_UNAUTHENTICATED;
}
