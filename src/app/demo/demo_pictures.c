/* Pictures of the demo shop: small drawings made of paths. A shape is drawn in one colour and what follows
 * from it: $m the colour, $d darker, $l lighter, $p paler still, $a an accent, $w near white, $k near black.
 */
#include "app/demo/demo.h"

#include "base/check.h"

static const struct shape {
    const char *name, *svg;
} shapes[] = {
    {"headphones", "<path d='M95 240v-30a105 105 0 01210 0v30' fill='none' stroke='$d' stroke-width='18' "
                   "stroke-linecap='round'/>"
                   "<path d='M105 205a95 95 0 01190 0' fill='none' stroke='$l' stroke-width='5'/>"
                   "<rect x='72' y='215' width='62' height='96' rx='28' fill='$m'/><rect x='266' y='215' "
                   "width='62' height='96' rx='28' fill='$m'/>"
                   "<rect x='116' y='228' width='26' height='70' rx='13' fill='$k'/><rect x='258' y='228' "
                   "width='26' height='70' rx='13' fill='$k'/>"
                   "<circle cx='92' cy='263' r='9' fill='$a'/>"},
    {"earbuds", "<rect x='105' y='210' width='190' height='110' rx='46' fill='$m'/><path d='M105 "
                "256h190v18a46 46 0 01-46 46h-98a46 46 0 01-46-46z' fill='$d'/>"
                "<circle cx='200' cy='288' r='6' fill='$a'/><g fill='$p' stroke='$d' stroke-width='4'><path "
                "d='M140 96a32 32 0 0132 32v12h-14v56h-20v-52a32 32 0 012-48z'/>"
                "<path d='M260 96a32 32 0 00-32 32v12h14v56h20v-52a32 32 0 00-2-48z'/></g><circle cx='146' "
                "cy='126' r='10' fill='$k'/><circle cx='254' cy='126' r='10' fill='$k'/>"},
    {"speaker", "<rect x='125' y='82' width='150' height='240' rx='34' fill='$m'/><rect x='141' y='98' "
                "width='118' height='208' rx='24' fill='$d'/>"
                "<circle cx='200' cy='240' r='46' fill='$k'/><circle cx='200' cy='240' r='30' "
                "fill='$m'/><circle cx='200' cy='240' r='12' fill='$l'/>"
                "<circle cx='200' cy='145' r='26' fill='$k'/><circle cx='200' cy='145' r='13' "
                "fill='$l'/><rect x='182' y='88' width='36' height='5' rx='2' fill='$a'/>"},
    {"watch", "<path d='M160 60h80l10 80h-100z' fill='$d'/><path d='M150 258h100l-10 82h-80z' "
              "fill='$d'/><circle cx='200' cy='200' r='84' fill='$m'/>"
              "<circle cx='200' cy='200' r='68' fill='$w'/><path d='M200 146v-10M200 264v-10M146 200h-10M264 "
              "200h-10' stroke='$k' stroke-width='6'/>"
              "<path d='M200 200l-24-34' stroke='$k' stroke-width='7' stroke-linecap='round'/><path d='M200 "
              "200l38-22' stroke='$k' stroke-width='5' stroke-linecap='round'/>"
              "<path d='M200 214v-66' stroke='$a' stroke-width='3'/><circle cx='200' cy='200' r='6' "
              "fill='$a'/><rect x='282' y='188' width='14' height='24' rx='5' fill='$d'/>"},
    {"camera",
     "<path d='M155 126l16-26h58l16 26z' fill='$d'/><rect x='82' y='124' width='236' height='162' rx='24' "
     "fill='$m'/><rect x='82' y='170' width='236' height='70' fill='$d'/>"
     "<circle cx='200' cy='208' r='66' fill='$k'/><circle cx='200' cy='208' r='48' fill='$l'/><circle "
     "cx='200' cy='208' r='30' fill='$k'/><circle cx='188' cy='194' r='11' fill='$w' opacity='.8'/>"
     "<rect x='264' y='140' width='34' height='16' rx='6' fill='$w'/><circle cx='112' cy='148' r='8' "
     "fill='$a'/>"},
    {"tablet", "<g transform='rotate(-8 200 200)'><rect x='112' y='72' width='176' height='256' rx='18' "
               "fill='$k'/><rect x='124' y='88' width='152' height='224' rx='6' fill='$p'/>"
               "<path d='M124 250l46-52 34 34 40-52 32 40v92h-152z' fill='$m'/><circle cx='164' cy='134' "
               "r='18' fill='$a'/><rect x='196' y='122' width='62' height='8' rx='4' fill='$d'/>"
               "<rect x='196' y='140' width='42' height='8' rx='4' fill='$l'/></g>"},
    {"powerbank", "<rect x='128' y='84' width='144' height='236' rx='26' fill='$m'/><path d='M128 110a26 26 "
                  "0 0126-26h30v236h-30a26 26 0 01-26-26z' fill='$l'/>"
                  "<path d='M214 150l-38 62h26l-10 48 42-66h-28z' fill='$w'/><g fill='$a'><circle cx='172' "
                  "cy='298' r='5'/><circle cx='190' cy='298' r='5'/><circle cx='208' cy='298' "
                  "r='5'/></g><circle cx='226' cy='298' r='5' fill='$d'/>"
                  "<rect x='182' y='72' width='36' height='14' rx='5' fill='$k'/>"},
    {"suitcase", "<path d='M168 92v-34h64v34' fill='none' stroke='$k' stroke-width='10' "
                 "stroke-linejoin='round'/><rect x='118' y='90' width='164' height='230' rx='26' fill='$m'/>"
                 "<g stroke='$d' stroke-width='8' stroke-linecap='round'><path d='M150 112v186M183 "
                 "112v186M217 112v186M250 112v186'/></g><path d='M118 196h164' stroke='$l' stroke-width='6'/>"
                 "<rect x='182' y='184' width='36' height='24' rx='6' fill='$a'/><circle cx='142' cy='328' "
                 "r='13' fill='$k'/><circle cx='258' cy='328' r='13' fill='$k'/>"},
    {"backpack",
     "<path d='M166 98a34 34 0 0168 0' fill='none' stroke='$k' stroke-width='11'/><path d='M122 150a56 56 0 "
     "0156-56h44a56 56 0 0156 56v146a26 26 0 01-26 26h-104a26 26 0 01-26-26z' fill='$m'/>"
     "<rect x='146' y='214' width='108' height='84' rx='18' fill='$d'/><path d='M146 236h108' stroke='$l' "
     "stroke-width='5'/><rect x='192' y='230' width='16' height='26' rx='6' fill='$a'/>"
     "<path d='M150 168a50 40 0 01100 0' fill='none' stroke='$l' stroke-width='6'/><path d='M122 "
     "180h-16v92h16M278 180h16v92h-16' fill='$d'/>"},
    {"duffel",
     "<path d='M130 186c0-86 140-86 140 0' fill='none' stroke='$k' stroke-width='11'/><rect x='66' y='172' "
     "width='268' height='130' rx='46' fill='$m'/>"
     "<path d='M66 218a46 46 0 0146-46h14v130h-14a46 46 0 01-46-46zM334 218a46 46 0 00-46-46h-14v130h14a46 "
     "46 0 0046-46z' fill='$d'/><path d='M140 192h120' stroke='$a' stroke-width='7' stroke-linecap='round'/>"
     "<rect x='150' y='222' width='100' height='58' rx='10' fill='none' stroke='$l' stroke-width='5'/>"},
    {"pillow", "<path d='M112 150a96 96 0 01176 0c30 70 10 150-40 150-34 0-36-60-48-60s-14 60-48 60c-50 "
               "0-70-80-40-150z' fill='$m'/>"
               "<path d='M136 158a70 70 0 01128 0' fill='none' stroke='$l' stroke-width='14' "
               "stroke-linecap='round'/><circle cx='150' cy='278' r='9' fill='$a'/><circle cx='250' cy='278' "
               "r='9' fill='$a'/>"},
    {"pouch",
     "<rect x='92' y='196' width='216' height='118' rx='18' fill='$d'/><rect x='112' y='142' width='176' "
     "height='110' rx='16' fill='$m'/><rect x='134' y='98' width='132' height='82' rx='14' fill='$l'/>"
     "<path d='M148 116h104M128 164h144M110 220h180' stroke='$w' stroke-width='6' "
     "stroke-linecap='round'/><rect x='276' y='210' width='12' height='28' rx='5' fill='$a'/>"},
    {"wallet", "<g transform='rotate(6 200 200)'><rect x='150' y='70' width='130' height='90' rx='8' "
               "fill='$w'/><rect x='162' y='84' width='70' height='8' fill='$a'/><rect x='120' y='104' "
               "width='160' height='216' rx='16' fill='$m'/>"
               "<path d='M134 118h132v188h-132z' fill='none' stroke='$l' stroke-width='4' "
               "stroke-dasharray='9 7'/><circle cx='200' cy='190' r='30' fill='none' stroke='$a' "
               "stroke-width='6'/><path d='M170 190h60M200 160v60' stroke='$a' stroke-width='4'/></g>"},
    {"wine", "<path d='M182 52h36v76c0 26 28 32 28 70v122a18 18 0 01-18 18h-56a18 18 0 01-18-18v-122c0-38 "
             "28-44 28-70z' fill='$d'/><rect x='178' y='46' width='44' height='48' rx='5' fill='$a'/>"
             "<rect x='154' y='214' width='92' height='82' fill='$w'/><path d='M172 236h56M172 252h56M184 "
             "272h32' stroke='$m' stroke-width='5'/><path d='M166 190c4-18 12-24 18-38' stroke='$l' "
             "stroke-width='5' fill='none' stroke-linecap='round'/>"},
    {"champagne", "<path d='M184 50h32v84c0 24 34 40 34 84v96a22 22 0 01-22 22h-56a22 22 0 01-22-22v-96c0-44 "
                  "34-60 34-84z' fill='$d'/><path d='M178 44h44l8 96c-20 10-40 10-60 0z' fill='$a'/>"
                  "<path d='M152 226c32 14 64 14 96 0v66c-32 12-64 12-96 0z' fill='$w'/><path d='M180 "
                  "252h40M188 268h24' stroke='$m' stroke-width='5'/><g fill='$p'><circle cx='286' cy='110' "
                  "r='7'/><circle cx='304' cy='142' r='5'/><circle cx='280' cy='160' r='4'/></g>"},
    {"spirit", "<rect x='180' y='60' width='40' height='58' rx='6' fill='$k'/><path d='M176 112h48v22l36 "
               "34v142a20 20 0 01-20 20h-80a20 20 0 01-20-20v-142l36-34z' fill='$p' opacity='.85'/>"
               "<path d='M146 202h108v104a18 18 0 01-18 18h-72a18 18 0 01-18-18z' fill='$m'/><rect x='158' "
               "y='220' width='84' height='70' rx='4' fill='$w'/><path d='M172 240h56M180 256h40M188 272h24' "
               "stroke='$d' stroke-width='5'/>"},
    {"sake", "<path d='M176 66h48v60c22 18 34 50 34 86v98a18 18 0 01-18 18h-80a18 18 0 01-18-18v-98c0-36 "
             "12-68 34-86z' fill='$m'/><rect x='172' y='56' width='56' height='34' rx='6' fill='$k'/>"
             "<rect x='168' y='176' width='64' height='130' fill='$w'/><circle cx='200' cy='206' r='16' "
             "fill='$a'/><path d='M184 240h32M200 240v52M186 264h28' stroke='$k' stroke-width='6'/>"},
    {"glass",
     "<path d='M112 88h80c4 74-10 106-34 112v92h30v14h-72v-14h30v-92c-24-6-38-38-34-112z' fill='$p'/><path "
     "d='M116 138h72c-2 36-14 56-36 58-22-2-34-22-36-58z' fill='$m'/>"
     "<path d='M214 118h80c4 74-10 106-34 112v72h30v14h-72v-14h30v-72c-24-6-38-38-34-112z' fill='$p' "
     "opacity='.9'/><path d='M218 176h72c-4 30-16 48-36 50-20-2-32-20-36-50z' fill='$a' opacity='.85'/>"},
    {"jar",
     "<rect x='118' y='112' width='164' height='56' rx='14' fill='$d'/><path d='M126 168h148v120a34 34 0 "
     "01-34 34h-80a34 34 0 01-34-34z' fill='$m'/><path d='M126 168h30v154a34 34 0 01-30-34z' fill='$l'/>"
     "<rect x='160' y='208' width='80' height='64' rx='6' fill='$w'/><path d='M176 228h48M186 248h28' "
     "stroke='$d' stroke-width='6' stroke-linecap='round'/><path d='M134 128h132' stroke='$l' "
     "stroke-width='5'/>"},
    {"perfume",
     "<rect x='172' y='70' width='56' height='48' rx='8' fill='$k'/><rect x='184' y='116' width='32' "
     "height='26' fill='$a'/><rect x='118' y='140' width='164' height='180' rx='26' fill='$p'/>"
     "<path d='M130 206h140v88a16 16 0 01-16 16h-108a16 16 0 01-16-16z' fill='$m'/><rect x='160' y='192' "
     "width='80' height='66' fill='$w'/><path d='M176 216h48M186 236h28' stroke='$d' stroke-width='5'/><path "
     "d='M136 160v40' stroke='$w' stroke-width='7' stroke-linecap='round'/>"},
    {"lipstick",
     "<g transform='rotate(8 150 220)'><rect x='122' y='204' width='62' height='120' rx='8' fill='$k'/><rect "
     "x='128' y='168' width='50' height='44' fill='$a'/><path d='M134 170v-58l38-32v90z' fill='$m'/></g>"
     "<g transform='rotate(-10 260 230)'><rect x='222' y='226' width='76' height='92' rx='12' "
     "fill='$d'/><circle cx='260' cy='268' r='30' fill='$l'/><circle cx='260' cy='268' r='20' "
     "fill='$m'/></g>"},
    {"tube", "<path d='M146 70h108l-14 190h-80z' fill='$m'/><path d='M146 70h108v16h-108z' fill='$d'/><rect "
             "x='162' y='258' width='76' height='62' rx='10' fill='$k'/><rect x='170' y='126' width='60' "
             "height='88' rx='30' fill='$w'/>"
             "<path d='M200 142c20 22 20 40 0 54-20-14-20-32 0-54z' fill='$a'/><path d='M160 96l8 150' "
             "stroke='$l' stroke-width='7' stroke-linecap='round'/>"},
    {"razor", "<g transform='rotate(24 200 200)'><rect x='186' y='130' width='28' height='196' rx='14' "
              "fill='$m'/><path d='M190 160h20M190 180h20M190 200h20M190 220h20M190 240h20' stroke='$d' "
              "stroke-width='5'/><rect x='130' y='84' width='140' height='46' rx='12' fill='$k'/>"
              "<path d='M140 92h120M140 122h120' stroke='$p' stroke-width='6'/><rect x='186' y='124' "
              "width='28' height='20' fill='$a'/></g>"},
    {"device", "<path d='M150 86a50 50 0 01100 0v60a50 50 0 01-100 0z' fill='$p'/><circle cx='200' cy='106' "
               "r='32' fill='$m'/><circle cx='200' cy='106' r='18' fill='$l'/><path d='M168 188h64l-8 126a24 "
               "24 0 01-48 0z' fill='$m'/>"
               "<circle cx='200' cy='224' r='9' fill='$a'/><rect x='150' y='318' width='100' height='16' "
               "rx='8' fill='$d'/>"},
    {"pan", "<path d='M78 190h206c0 64-30 106-74 112h-58c-44-6-74-48-74-112z' fill='$d'/><ellipse cx='181' "
            "cy='190' rx='103' ry='30' fill='$k'/><ellipse cx='181' cy='192' rx='84' ry='21' fill='$m'/>"
            "<path d='M280 184l74-40 10 20-78 44z' fill='$a'/><path d='M150 128c-12-18 12-24 0-44M186 "
            "120c-12-18 12-24 0-44M220 128c-12-18 12-24 0-44' stroke='$w' stroke-width='7' fill='none' "
            "stroke-linecap='round'/>"},
    {"kettle", "<path d='M252 148c70-10 82 120 4 122' fill='none' stroke='$k' stroke-width='15' "
               "stroke-linecap='round'/><path d='M136 134h110l26 168a16 16 0 01-16 18h-128a16 16 0 "
               "01-16-18z' fill='$m'/>"
               "<path d='M128 190c-44-6-44-60-70-60 6 60 20 100 62 104z' fill='$d'/><rect x='146' y='112' "
               "width='90' height='24' rx='10' fill='$d'/><circle cx='191' cy='100' r='13' fill='$a'/><path "
               "d='M150 160l-14 130' stroke='$l' stroke-width='8' stroke-linecap='round'/>"},
    {"cup",
     "<path d='M246 190c60-16 60 74-6 66' fill='none' stroke='$d' stroke-width='14'/><path d='M104 160h150c4 "
     "84-24 128-75 128s-79-44-75-128z' fill='$m'/><ellipse cx='179' cy='160' rx='75' ry='20' "
     "fill='$d'/><ellipse cx='179' cy='162' rx='62' ry='14' fill='$a'/>"
     "<ellipse cx='182' cy='312' rx='110' ry='16' fill='$l'/><path d='M126 196c2 40 14 62 28 72' stroke='$l' "
     "stroke-width='8' fill='none' stroke-linecap='round'/><path d='M160 120c-10-16 10-22 0-38M198 "
     "120c-10-16 10-22 0-38' stroke='$w' stroke-width='7' fill='none' stroke-linecap='round'/>"},
    {"bed",
     "<rect x='70' y='110' width='260' height='120' rx='18' fill='$d'/><rect x='96' y='152' width='92' "
     "height='56' rx='18' fill='$w'/><rect x='212' y='152' width='92' height='56' rx='18' fill='$w'/>"
     "<path d='M60 214c60-20 220-20 280 0v78h-280z' fill='$m'/><path d='M60 214c60-20 220-20 280 "
     "0v22c-60-18-220-18-280 0z' fill='$l'/><path d='M70 292v28M330 292v28' stroke='$k' "
     "stroke-width='12'/><path d='M120 250l-8 42M200 246v46M280 250l8 42' stroke='$d' stroke-width='4' "
     "opacity='.5'/>"},
    {"candle",
     "<path d='M200 62c26 32 26 54 0 66-26-12-26-34 0-66z' fill='$a'/><path d='M200 120v34' stroke='$k' "
     "stroke-width='5'/><rect x='130' y='150' width='140' height='170' rx='16' fill='$p' "
     "opacity='.75'/><path d='M138 190h124v114a8 8 0 01-8 8h-108a8 8 0 01-8-8z' fill='$m'/>"
     "<rect x='162' y='214' width='76' height='62' fill='$w'/><path d='M178 236h44M188 254h24' stroke='$d' "
     "stroke-width='5'/>"},
    {"lamp", "<path d='M144 82h112l40 112h-192z' fill='$m'/><path d='M144 82h40l-26 112h-54z' "
             "fill='$l'/><rect x='192' y='194' width='16' height='104' fill='$k'/><ellipse cx='200' cy='312' "
             "rx='66' ry='18' fill='$d'/>"
             "<path d='M110 200l-30 70M290 200l30 70' stroke='$a' stroke-width='6' stroke-linecap='round' "
             "opacity='.7'/><path d='M236 194v44' stroke='$k' stroke-width='3'/><circle cx='236' cy='242' "
             "r='6' fill='$a'/>"},
    {"basket", "<path d='M130 170c0-100 140-100 140 0' fill='none' stroke='$d' stroke-width='13'/><path "
               "d='M88 166h224l-28 146a16 16 0 01-16 12h-136a16 16 0 01-16-12z' fill='$m'/>"
               "<g stroke='$d' stroke-width='6'><path d='M98 200h204M104 234h192M112 268h176M118 300h164M140 "
               "168l10 154M200 168v154M260 168l-10 154'/></g><rect x='82' y='152' width='236' height='26' "
               "rx='12' fill='$l'/>"},
    {"sweater", "<path d='M150 92h100l62 44-22 150-36-8 4-74v116h-116v-116l4 74-36 8-22-150z' "
                "fill='$m'/><path d='M162 92c8 34 68 34 76 0z' fill='$d'/><path d='M142 306h116v14h-116zM84 "
                "272l40 10M276 282l40-10' fill='$d' stroke='$d' stroke-width='10'/>"
                "<g stroke='$l' stroke-width='5' fill='none'><path d='M146 180l18 14 18-14 18 14 18-14 18 14 "
                "18-14'/><path d='M146 212l18 14 18-14 18 14 18-14 18 14 18-14'/></g>"},
    {"shirt", "<path d='M152 88l48 26 48-26 66 50-34 56-24-14v140h-112v-140l-24 14-34-56z' fill='$m'/><path "
              "d='M152 88l48 26 48-26-10-12h-76z' fill='$d'/><path d='M200 114v206' stroke='$l' "
              "stroke-width='5'/><g fill='$w'><circle cx='200' cy='150' r='5'/><circle cx='200' cy='190' "
              "r='5'/><circle cx='200' cy='230' r='5'/><circle cx='200' cy='270' r='5'/></g>"
              "<rect x='218' y='168' width='34' height='38' rx='4' fill='$l'/>"},
    {"coat", "<path d='M152 74h96l60 54-20 160-34-6-2-96 14 150h-132l14-150-2 96-34 6-20-160z' "
             "fill='$m'/><path d='M152 74l48 86 48-86-20-8h-56z' fill='$d'/><path d='M200 160v176' "
             "stroke='$d' stroke-width='6'/><rect x='138' y='216' width='124' height='16' fill='$k'/><rect "
             "x='190' y='212' width='24' height='24' rx='4' fill='none' stroke='$a' stroke-width='5'/>"
             "<g fill='$a'><circle cx='184' cy='186' r='5'/><circle cx='216' cy='186' r='5'/><circle "
             "cx='184' cy='260' r='5'/><circle cx='216' cy='260' r='5'/></g>"},
    {"shoe", "<path d='M66 248c0-60 20-86 34-112 22 26 52 26 66 6 34 54 84 62 140 78 26 8 32 28 30 52h-270z' "
             "fill='$m'/><path d='M60 262h282v18a18 18 0 01-18 18h-246a18 18 0 01-18-18z' fill='$w'/><path "
             "d='M60 284h282' stroke='$a' stroke-width='7'/>"
             "<path d='M176 160l-22 18M200 180l-22 20M226 196l-20 22M252 208l-18 22' stroke='$w' "
             "stroke-width='7' stroke-linecap='round'/><path d='M92 168c-8 30-10 50-10 80' stroke='$l' "
             "stroke-width='8' fill='none' stroke-linecap='round'/>"},
    {"handbag",
     "<path d='M144 170c0-120 112-120 112 0' fill='none' stroke='$k' stroke-width='11'/><path d='M104 "
     "166h192l22 138a18 18 0 01-18 20h-200a18 18 0 01-18-20z' fill='$m'/><path d='M104 166h192l8 56c-60 "
     "34-148 34-208 0z' fill='$d'/><rect x='182' y='222' width='36' height='34' rx='8' fill='$a'/><path "
     "d='M110 240l-10 66' stroke='$l' stroke-width='7' stroke-linecap='round'/>"},
    {"ring",
     "<circle cx='200' cy='238' r='80' fill='none' stroke='$a' stroke-width='22'/><path d='M200 "
     "238m-74-22a78 78 0 0130-52' fill='none' stroke='$w' stroke-width='6' stroke-linecap='round'/><path "
     "d='M158 92h84l26 34-68 62-68-62z' fill='$m'/><path d='M158 92l16 34-42 0zM242 92l-16 34h42z' "
     "fill='$d'/><path d='M174 126h52l-26 62z' fill='$l'/><path d='M174 126l26-34 26 34z' fill='$p'/>"},
    {"sunglasses",
     "<path d='M76 168l20-38M324 168l-20-38' stroke='$d' stroke-width='13' stroke-linecap='round'/><path "
     "d='M176 184c14-16 34-16 48 0' fill='none' stroke='$d' stroke-width='12'/><circle cx='126' cy='204' "
     "r='58' fill='$k'/><circle cx='274' cy='204' r='58' fill='$k'/><circle cx='126' cy='204' r='58' "
     "fill='none' stroke='$m' stroke-width='12'/><circle cx='274' cy='204' r='58' fill='none' stroke='$m' "
     "stroke-width='12'/>"
     "<path d='M96 196c6-22 20-30 36-30M244 196c6-22 20-30 36-30' stroke='$l' stroke-width='7' fill='none' "
     "stroke-linecap='round'/>"},
    {"mat",
     "<path d='M96 286h196a36 36 0 000-72h-196z' fill='$m'/><path d='M96 300h200v16h-200z' "
     "fill='$d'/><circle cx='96' cy='266' r='50' fill='$d'/><circle cx='96' cy='266' r='36' "
     "fill='$m'/><circle cx='96' cy='266' r='22' fill='$d'/><circle cx='96' cy='266' r='9' fill='$l'/><rect "
     "x='150' y='212' width='20' height='92' fill='$a'/><rect x='236' y='212' width='20' height='92' "
     "fill='$a'/><path d='M200 96c22 26 22 46 0 62-22-16-22-36 0-62zM160 120c26 8 36 22 34 40-24 "
     "2-36-12-34-40zM240 120c-26 8-36 22-34 40 24 2 36-12 34-40z' fill='$l'/>"},
    {"golf",
     "<path d='M252 60l-64 200' stroke='$k' stroke-width='9' stroke-linecap='round'/><path d='M190 252l-84 "
     "6c-10 30 10 46 40 44l46-30z' fill='$m'/><path d='M252 60l-14 44' stroke='$a' stroke-width='13' "
     "stroke-linecap='round'/><circle cx='264' cy='286' r='30' fill='$w'/><g fill='$l'><circle cx='256' "
     "cy='278' r='4'/><circle cx='270' cy='276' r='4'/><circle cx='262' cy='292' r='4'/><circle cx='276' "
     "cy='290' r='4'/></g><path d='M256 316l8 22 8-22z' fill='$a'/>"},
    {"helmet",
     "<path d='M74 246c0-90 62-146 138-146 74 0 122 56 118 128-40 30-90 26-128 26-50 0-90 4-128-8z' "
     "fill='$m'/><path d='M120 180c20-40 60-60 100-56M110 214c40-30 110-40 176-24M180 238c30-16 80-20 "
     "128-14' stroke='$k' stroke-width='13' fill='none' stroke-linecap='round'/><path d='M150 252c10 50 40 "
     "68 76 62M270 248c-8 44-24 60-44 66' stroke='$d' stroke-width='8' fill='none'/><rect x='214' y='306' "
     "width='28' height='20' rx='6' fill='$a'/>"},
    {"goggles", "<path d='M40 196c60-34 260-34 320 0' fill='none' stroke='$d' stroke-width='20'/><path "
                "d='M84 190c0-30 90-34 102 0 6 24-10 62-48 62s-54-30-54-62zM316 190c0-30-90-34-102 0-6 24 10 "
                "62 48 62s54-30 54-62z' fill='$m'/><path d='M98 196c4-20 66-22 74 0 2 18-10 42-34 "
                "42s-40-20-40-42zM302 196c-4-20-66-22-74 0-2 18 10 42 34 42s40-20 40-42z' fill='$p'/><path "
                "d='M184 204h32' stroke='$k' stroke-width='10'/><path d='M110 206c2-10 12-14 22-14M240 "
                "206c2-10 12-14 22-14' stroke='$w' stroke-width='6' fill='none' stroke-linecap='round'/>"
                "<path d='M70 300c22-16 44 16 66 0s44 16 66 0 44 16 66 0 44 16 66 0' stroke='$a' "
                "stroke-width='8' fill='none' stroke-linecap='round'/>"},
    {"tent",
     "<path d='M200 92l142 210h-284z' fill='$m'/><path d='M200 92l-36 210h-106z' fill='$l'/><path d='M200 "
     "132l44 170h-88z' fill='$k'/><path d='M200 132l-44 170 24 0z' fill='$d'/><path d='M200 92v-26M200 66l26 "
     "10-26 10' stroke='$a' stroke-width='6' fill='$a'/><path d='M40 302h320' stroke='$d' stroke-width='9' "
     "stroke-linecap='round'/><circle cx='306' cy='98' r='20' fill='$a' opacity='.8'/>"},
    {"blocks", "<rect x='84' y='210' width='106' height='106' rx='10' fill='$m'/><rect x='210' y='210' "
               "width='106' height='106' rx='10' fill='$a'/><rect x='146' y='98' width='106' height='106' "
               "rx='10' fill='$l'/><path d='M137 236l26 54h-52z' fill='$w'/><circle cx='263' cy='263' r='26' "
               "fill='$w'/><rect x='176' y='128' width='46' height='46' fill='$d'/>"},
    {"teddy", "<circle cx='140' cy='108' r='30' fill='$d'/><circle cx='260' cy='108' r='30' "
              "fill='$d'/><ellipse cx='200' cy='272' rx='76' ry='66' fill='$m'/><ellipse cx='124' cy='250' "
              "rx='28' ry='40' fill='$d' transform='rotate(30 124 250)'/><ellipse cx='276' cy='250' rx='28' "
              "ry='40' fill='$d' transform='rotate(-30 276 250)'/><circle cx='200' cy='156' r='72' "
              "fill='$m'/><ellipse cx='200' cy='182' rx='34' ry='26' fill='$p'/><ellipse cx='200' cy='284' "
              "rx='42' ry='38' fill='$p'/><circle cx='174' cy='144' r='9' fill='$k'/><circle cx='226' "
              "cy='144' r='9' fill='$k'/><path d='M190 172h20l-10 12zM200 184v10' fill='$k' stroke='$k' "
              "stroke-width='3'/><path d='M168 226l32 14 32-14-6 24-26-8-26 8z' fill='$a'/>"},
    {"bottle",
     "<path d='M176 64h48v34h-48z' fill='$p'/><rect x='150' y='96' width='100' height='38' rx='10' "
     "fill='$a'/><path d='M150 138h100v22l14 30v116a26 26 0 01-26 26h-76a26 26 0 01-26-26v-116l14-30z' "
     "fill='$m'/><path d='M148 214h40M148 242h28M148 270h40M148 298h28' stroke='$w' stroke-width='6'/><path "
     "d='M240 200v100' stroke='$l' stroke-width='8' stroke-linecap='round'/>"},
    {"book", "<g transform='rotate(-6 200 200)'><rect x='112' y='80' width='180' height='244' rx='10' "
             "fill='$d'/><rect x='124' y='74' width='176' height='240' rx='8' fill='$m'/><path d='M124 82a8 "
             "8 0 018-8h14v240h-14a8 8 0 01-8-8z' fill='$d'/><circle cx='224' cy='170' r='50' "
             "fill='$p'/><path d='M190 190c14-30 26-10 34-34s20-4 34 6' stroke='$m' stroke-width='9' "
             "fill='none' stroke-linecap='round'/><rect x='176' y='244' width='98' height='12' rx='6' "
             "fill='$w'/><rect x='194' y='268' width='62' height='9' rx='4' fill='$a'/></g>"},
    {"tin",
     "<ellipse cx='200' cy='112' rx='86' ry='24' fill='$l'/><path d='M114 112v38c0 32 172 32 172 0v-38c0 "
     "32-172 32-172 0z' fill='$d'/><path d='M120 166v124c0 30 160 30 160 0v-124c-20 16-140 16-160 0z' "
     "fill='$m'/><rect x='156' y='196' width='88' height='96' rx='4' fill='$w'/><path d='M200 210c26 18 26 "
     "44 0 62-26-18-26-44 0-62z' fill='$a'/><path d='M200 222v58' stroke='$w' stroke-width='4'/>"},
    {"coffee",
     "<path d='M136 92h128l18 216a16 16 0 01-16 16h-132a16 16 0 01-16-16z' fill='$m'/><path d='M136 "
     "92h128v26h-128z' fill='$d'/><rect x='150' y='78' width='100' height='18' rx='6' fill='$a'/><circle "
     "cx='200' cy='220' r='52' fill='$w'/><path d='M174 206c0-26 52-30 54 8s-50 54-54 20' fill='$d'/><path "
     "d='M176 232c16-30 34-10 48-38' stroke='$w' stroke-width='6' fill='none'/>"},
    {"chocolate",
     "<g transform='rotate(-10 200 200)'><rect x='118' y='76' width='164' height='140' rx='8' fill='$d'/><g "
     "fill='$m'><rect x='128' y='86' width='44' height='36' rx='4'/><rect x='178' y='86' width='44' "
     "height='36' rx='4'/><rect x='228' y='86' width='44' height='36' rx='4'/><rect x='128' y='128' "
     "width='44' height='36' rx='4'/><rect x='178' y='128' width='44' height='36' rx='4'/><rect x='228' "
     "y='128' width='44' height='36' rx='4'/></g><path d='M112 176l22-12 22 12 22-12 22 12 22-12 22 12 22-12 "
     "22 12v150h-176z' fill='$a'/><rect x='142' y='220' width='116' height='66' fill='$w'/><path d='M162 "
     "240h76M176 262h48' stroke='$d' stroke-width='7'/></g>"},
    {"hamper", "<path d='M92 196h216l-18 112a18 18 0 01-18 16h-144a18 18 0 01-18-16z' fill='$m'/><g "
               "stroke='$d' stroke-width='6'><path d='M100 230h200M106 262h188M112 294h176M146 198l8 124M200 "
               "198v124M254 198l-8 124'/></g><path d='M124 196v-60h48v60zM184 196v-96h34v96zM230 "
               "196v-48h54v48z' fill='$l'/><rect x='184' y='84' width='34' height='26' fill='$k'/><path "
               "d='M124 156h48M230 168h54' stroke='$w' stroke-width='7'/><path d='M200 244c-40-40-70 10 0 "
               "10s40-50 0-10zM200 250l-24 34M200 250l24 34' fill='$a' stroke='$a' stroke-width='6'/>"},
    {"card", "<g transform='rotate(-7 200 200)'><rect x='70' y='120' width='260' height='164' rx='20' "
             "fill='$m'/><path d='M70 226c80-60 150 40 260-40v78a20 20 0 01-20 20h-220a20 20 0 01-20-20z' "
             "fill='$d'/><path d='M250 120v164M70 176h260' stroke='$a' stroke-width='12'/><path d='M250 "
             "176c-50-56-80 4 0 0s60-46 0 0z' fill='none' stroke='$a' stroke-width='9'/><rect x='94' y='242' "
             "width='86' height='10' rx='5' fill='$w'/></g>"},
    {"lotus", "<path d='M200 108c44 50 44 104 0 150-44-46-44-100 0-150z' fill='$m'/><path d='M130 140c60 16 "
              "84 60 72 118-60-8-88-56-72-118zM270 140c-60 16-84 60-72 118 60-8 88-56 72-118z' fill='$l' "
              "opacity='.9'/><path d='M78 196c66-12 108 16 122 66-58 16-106-10-122-66zM322 196c-66-12-108 "
              "16-122 66 58 16 106-10 122-66z' fill='$p' opacity='.9'/><path d='M70 296c24-14 46 14 70 0s46 "
              "14 70 0 46 14 70 0 36 10 50 0' stroke='$a' stroke-width='8' fill='none' "
              "stroke-linecap='round'/><circle cx='200' cy='84' r='8' fill='$a'/>"},
    {"cloche",
     "<path d='M84 264c0-78 52-126 116-126s116 48 116 126z' fill='$m'/><path d='M112 250c4-46 26-78 62-88' "
     "stroke='$p' stroke-width='11' fill='none' stroke-linecap='round'/><circle cx='200' cy='126' r='16' "
     "fill='$a'/><rect x='60' y='264' width='280' height='18' rx='9' fill='$d'/><rect x='100' y='288' "
     "width='200' height='12' rx='6' fill='$l'/><path d='M160 92c-10-14 10-20 0-34M240 92c-10-14 10-20 0-34' "
     "stroke='$w' stroke-width='7' fill='none' stroke-linecap='round'/>"},
    {"plane",
     "<g transform='rotate(-28 200 200)'><path d='M60 200c0-20 30-30 60-30h150c40 0 70 14 70 30s-30 30-70 "
     "30h-150c-30 0-60-10-60-30z' fill='$w'/><path d='M60 204c10 18 40 26 60 26h150c40 0 68-12 70-26z' "
     "fill='$p'/><path d='M196 172l-60-96h34l100 96zM196 228l-60 96h34l100-96z' fill='$m'/><path d='M92 "
     "174l-34-62h28l46 60z' fill='$m'/><g fill='$d'><circle cx='170' cy='192' r='6'/><circle cx='196' "
     "cy='192' r='6'/><circle cx='222' cy='192' r='6'/><circle cx='248' cy='192' r='6'/></g><path d='M296 "
     "184c16 0 28 6 34 12h-34z' fill='$k'/><path d='M66 196h40' stroke='$a' stroke-width='7'/></g>"
     "<g fill='$w' opacity='.8'><circle cx='84' cy='316' r='20'/><circle cx='112' cy='310' r='26'/><circle "
     "cx='142' cy='318' r='18'/></g>"},
};

static unsigned mix(unsigned rgb, unsigned with, int percent)
{
    unsigned out = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        int a = (int)(rgb >> shift & 255), b = (int)(with >> shift & 255);
        out |= (unsigned)((a * (100 - percent) + b * percent) / 100) << shift;
    }
    return out;
}

/* The shape with its colours filled in. */
static void shape_write(struct buf *out, const char *svg, unsigned rgb)
{
    static const unsigned accents[] = {0xe0a63b, 0xd8664f, 0x3f8f86, 0xb9935a};
    unsigned accent = accents[(rgb ^ rgb >> 8 ^ rgb >> 16) & 3];
    for (const char *at = svg; *at; at++) {
        if (*at != '$') {
            buf_char(out, *at);
            continue;
        }
        unsigned colour = rgb;
        switch (*++at) {
        case 'd':
            colour = mix(rgb, 0x14161c, 35);
            break;
        case 'l':
            colour = mix(rgb, 0xffffff, 32);
            break;
        case 'p':
            colour = mix(rgb, 0xffffff, 72);
            break;
        case 'w':
            colour = 0xfbf9f4;
            break;
        case 'k':
            colour = 0x2a2c33;
            break;
        case 'a':
            colour = accent;
            break;
        default:
            CHECK(*at == 'm');
        }
        buf_printf(out, "#%06x", colour);
    }
}

static void ground_write(struct buf *out, unsigned rgb, int view, uint64_t seed)
{
    static const unsigned grounds[] = {0xf4efe6, 0xeaf0f2, 0xf3ecec, 0xedf1e8, 0xf0eef5};
    unsigned top = grounds[seed % 5], bottom = mix(top, rgb, view == 1 ? 38 : 18);
    buf_printf(
        out,
        "<defs><linearGradient id='g' x1='0' y1='0' x2='.4' y2='1'><stop offset='0' stop-color='#%06x'/>"
        "<stop offset='1' stop-color='#%06x'/></linearGradient></defs><rect width='400' height='400' "
        "fill='url(#g)'/>",
        top, bottom);
    int x = 60 + (int)(seed >> 8 & 255), y = 50 + (int)(seed >> 16 & 127);
    buf_printf(out, "<circle cx='%d' cy='%d' r='%d' fill='#%06x' opacity='.5'/>", x, y,
               60 + (int)(seed >> 24 & 63), mix(top, 0xffffff, 60));
    buf_printf(out, "<circle cx='%d' cy='%d' r='%d' fill='#%06x' opacity='.22'/>", 400 - x / 2, 300 - y / 2,
               50 + (int)(seed >> 32 & 63), rgb);
}

void demo_picture(struct buf *out, const char *shape, unsigned rgb, int view, uint64_t seed)
{
    const char *svg = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, shape) == 0)
            svg = shapes[i].svg;
    }
    CHECK(svg);
    static const char *const transforms[] = {"translate(0 0)",
                                             "translate(64 56) scale(.66) rotate(-9 200 200)",
                                             "translate(-150 -130) scale(1.75)"};
    BUF_LITERAL(out, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 400 400' role='img'>");
    ground_write(out, rgb, view, seed);
    if (view == 0)
        BUF_LITERAL(out, "<ellipse cx='200' cy='340' rx='120' ry='14' fill='#2a2c33' opacity='.13'/>");
    buf_printf(out, "<g transform='%s'>", transforms[view]);
    shape_write(out, svg, rgb);
    BUF_LITERAL(out, "</g></svg>");
}
