/* What people write of themselves, made fit for a mail that goes to an address which they named: nobody may
 * use the shop to send somebody else a link. Pure; results live in the arena. */
#ifndef CATHAY_SHOP_NOTIFY_MAIL_WORDS_H
#define CATHAY_SHOP_NOTIFY_MAIL_WORDS_H

#include "base/arena.h"
#include "base/str.h"

#define MAILBOX_BYTES 16

/* The text with a blank wherever mail programs would see a link: behind a scheme's colon, behind a dot of a
 * domain (also of the dots that browsers take for one), around '@'. */
struct str mail_without_links(struct arena *arena, struct str text);
/* How somebody is addressed: the name, or "customer" where it would have made a link. */
struct str mail_name(struct arena *arena, struct str name);
/* A hash of the mailbox that an address leads to: capitals, dots and "+…" in its first part make no other. */
struct str mail_box(struct arena *arena, struct str address);

#endif
