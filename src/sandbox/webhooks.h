/* Webhooks of the sandbox partners: signed by the part, sent until the shop answers 2xx, with growing pauses.
 * Events, endpoints and deliveries are rows, so that a killed sandbox goes on with them. One thread sends,
 * many at a time. */
#ifndef CATHAY_SANDBOX_WEBHOOKS_H
#define CATHAY_SANDBOX_WEBHOOKS_H

#include "base/arena.h"
#include "base/error.h"
#include "pg/pg.h"

#define WEBHOOK_ATTEMPTS_MAX 30
#define WEBHOOK_PAUSE_MAX_MS 60000
#define WEBHOOK_TIMEOUT_MS 10000
#define WEBHOOKS_AT_ONCE 64

/* In a transaction: keeps the event and a delivery to each endpoint of the partner that listens; the faults
 * drop, delay and duplicate are applied. `body` is what is signed and sent, byte for byte. */
enum error_code sandbox_event_publish(struct pg *db, struct arena *arena, const char *partner,
                                      struct str event_id, struct str type, struct str object_id,
                                      struct str body);
/* After the commit: send now instead of at the next look. Any thread. */
void sandbox_webhooks_wake(void);

/* The partner's endpoint that the settings name. Its URL or secret may have changed since the last start. */
enum error_code sandbox_endpoint_from_settings(struct pg *db, const char *partner, const char *path,
                                               const char *secret, const char *const *events);

enum error_code sandbox_webhooks_start(struct error *error);
void sandbox_webhooks_stop(void);

#endif
