/* Shared by the files of this module only. */
#ifndef CATHAY_SHOP_NOTIFY_NOTIFY_INTERNAL_H
#define CATHAY_SHOP_NOTIFY_NOTIFY_INTERNAL_H

#include "work/work.h"

task_fn notify_mail_task;

#endif
