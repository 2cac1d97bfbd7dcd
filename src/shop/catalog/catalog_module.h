/* The catalog's tasks, for its table in catalog_module.c. */
#ifndef CATHAY_SHOP_CATALOG_CATALOG_MODULE_H
#define CATHAY_SHOP_CATALOG_CATALOG_MODULE_H

#include "work/work.h"

extern const struct module catalog_module;

/* On stock.changed: the product's listing rows. */
task_fn listing_stock_task;
/* On vendor.changed: the listing rows of all products of the vendor, in steps. */
task_fn listing_vendor_task;
/* Now and then: what has changed in listings reaches the kept counts of facets. */
task_fn listing_count_task;
/* Once a week, or when somebody says so: all listings are computed anew, in steps, then all kept counts.
 * Mends what a release left that did not know a column of theirs, while its servers ran beside the next
 * one's. */
task_fn listing_relist_task;
task_fn listing_recount_task;

#endif
