#include "app/commands.h"

#include "base/config.h"

#include <stdio.h>
#include <string.h>

int config_command(int argc, char **argv)
{
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0;
        fputs("Usage: cathay config\n\nPrints every setting: its variable, value (secrets hidden), unit, "
              "source and meaning.\n",
              help ? stdout : stderr);
        return help ? 0 : 2;
    }
    config_print();
    return 0;
}
