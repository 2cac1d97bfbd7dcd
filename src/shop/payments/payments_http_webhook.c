/* The gateway's webhooks: verified and parsed on the event loop, stored and worked out by the lanes
 * (payments_webhooks.c), answered when that is committed. */
#include "api.h"
#include "base/clock.h"
#include "http/request.h"
#include "shop/payments/payments_internal.h"

static void finish(struct webhook_command *command, enum error_code code)
{
    struct request *req = command->req;
    if (!code)
        respond_json(req, 200, STR("{\"received\":true}"));
    else if (!command->refused)
        error_set(&req->error, code, "%s", error_title(code));
    if (code == ERR_OVERLOADED || code == ERR_DATABASE)
        req->error.retry_after_s = 1;
    request_finish(req, code);
}

enum error_code stripe_webhook_handle(struct request *req, const struct api_stripe_webhook *in)
{
    (void)in;
    const struct gateway *gateway = payment_gateway();
    struct webhook_command *command = ARENA_NEW(req->arena, struct webhook_command);
    command->req = req;
    command->finish = finish;
    struct str signature = request_header(req, str_from(gateway->signature_header));
    enum error_code code = gateway->verify_webhook(signature, req->body, clock_wall_us(), &req->error);
    if (code == ERR_OK)
        code = gateway->parse_event(req->arena, req->body, &command->event, &req->error);
    command->refused = code != ERR_OK;
    enum error_code submitted = payment_webhook_submit(command);
    if (!submitted)
        return ERR_OK;
    if (command->refused)
        return code; /* a flood of them is not kept */
    req->error.retry_after_s = 1;
    return error_set(&req->error, submitted,
                     "More webhooks are waiting than the shop takes at once; send it again shortly");
}
