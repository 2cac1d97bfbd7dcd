/* The words of the demo shop. Brands, vendors and people are made up. */
#include "app/demo/demo.h"

const struct demo_place demo_places[] = {
    {"HKG", "Hong Kong, Tsing Yi", "HK"},    {"SIN", "Singapore, Changi", "SG"},
    {"LAX", "Los Angeles, Carson", "US"},    {"LHR", "London, Heathrow", "GB"},
    {"NRT", "Tokyo, Narita", "JP"},          {"SYD", "Sydney, Botany", "AU"},
    {"FRA", "Frankfurt, Kelsterbach", "DE"}, {"TPE", "Taipei, Taoyuan", "TW"},
};

/* places: 'a' is HKG, 'b' SIN … in the order of preference */
const struct demo_vendor demo_vendors[] = {
    {"harbour-electronics", "Harbour Electronics", "abc"},
    {"kowloon-audio", "Kowloon Audio House", "ab"},
    {"pixel-and-co", "Pixel & Co.", "aeh"},
    {"wayfarer-goods", "Wayfarer Goods", "acd"},
    {"altitude-luggage", "Altitude Luggage", "ac"},
    {"cellar-nine", "Cellar Nine", "ad"},
    {"victoria-vintners", "Victoria Vintners", "a"},
    {"maison-lumiere", "Maison Lumière", "adg"},
    {"peony-beauty", "Peony Beauty Lab", "aeh"},
    {"hearth-and-hall", "Hearth & Hall", "ab"},
    {"nordvik-home", "Nordvik Home", "ga"},
    {"thread-and-tailor", "Thread & Tailor", "ad"},
    {"silk-road-studio", "Silk Road Studio", "ah"},
    {"summit-sports", "Summit Sports", "afc"},
    {"tideline-outdoor", "Tideline Outdoor", "fa"},
    {"little-dragon", "Little Dragon Toys", "ab"},
    {"panda-and-pear", "Panda & Pear", "a"},
    {"leaf-and-bean", "Leaf & Bean Traders", "ah"},
    {"grand-harbour-gifts", "Grand Harbour Gifts", "a"},
    {"horizon-experiences", "Horizon Experiences", "ab"},
};
const size_t demo_vendor_count = sizeof demo_vendors / sizeof *demo_vendors;

const struct demo_department demo_departments[] = {
    {"electronics", "Electronics", "Auralis;Kestrel;Voltana;Mirai Labs;Nimbus;Orbita;Silverlink", "abc"},
    {"travel", "Travel & Luggage", "Altamere;Wanderlot;Cirrus & Co.;Portside;Trunkline;Skyfold", "de"},
    {"wine-spirits", "Wine & Spirits",
     "Château Belmarais;Domaine Arvelle;Glen Orrin;Kurogawa;Tenuta Solmare;Blackwater Bay;Stonefield", "fg"},
    {"beauty", "Beauty", "Lumière Noire;Peonia;Hanami;Atelier Sève;Dr. Lindqvist;Kaoru", "hi"},
    {"home", "Home & Living", "Nordvik;Hearthstone;Casa Oliva;Tsuchi;Linen Row;Brightwell", "jk"},
    {"fashion", "Fashion", "Thread & Tailor;Marlowe;Silk Road;Okada;Vesper;Corvane;Lotus & Lane", "lm"},
    {"sports", "Sports & Outdoor", "Summitline;Tideline;Velocia;Fairway Nine;Aquaflow;Stride", "no"},
    {"kids", "Kids & Baby", "Little Dragon;Panda & Pear;Bricolo;Tiny Tern;Moonbeam", "pq"},
    {"food-tea", "Food, Tea & Coffee", "Jade Pavilion;Leaf & Bean;Cacao Real;Golden Lantern;Kiyomi;Old Quay",
     "rs"},
    {"gifts", "Gifts & Experiences", "Horizon;Grand Harbour;Skybound;Serenity", "st"},
};
const size_t demo_department_count = sizeof demo_departments / sizeof *demo_departments;

#define METALS "aluminium;stainless steel;titanium"
#define CASES "polycarbonate;aluminium;recycled nylon"
#define LEATHERS "leather;vegan leather;canvas"
#define CLOTHS "cotton;linen;merino wool;cashmere;silk"
#define GLASSES "glass;crystal"
#define CLAYS "porcelain;stoneware;bone china"

const struct demo_kind demo_kinds[] = {
    {0, "headphones", "Headphones", "頭戴式耳機", "headphones", DEMO_COLOURS, 790, 3990, 280,
     "Wireless Headphones;Noise-Cancelling Headphones;Studio Headphones;Travel Headphones;On-Ear Headphones",
     "Adaptive noise cancelling hushes cabin and street.;Up to 40 hours on one charge.;Soft memory-foam "
     "cushions for long flights.;"
     "Folds flat into its case.;Two devices at once.",
     METALS},
    {0, "earbuds", "Earbuds", "真無線耳機", "earbuds", DEMO_COLOURS, 390, 1990, 60,
     "True Wireless Earbuds;Sport Earbuds;Sleep Earbuds;Open-Ear Buds",
     "Eight hours, and thirty more in the case.;"
     "Sweat and rain do no harm (IPX5).;Clear calls even in the wind.;Three sizes of tips.",
     "recycled plastic;aluminium"},
    {0, "speakers", "Speakers", "藍牙喇叭", "speaker", DEMO_COLOURS, 590, 4590, 900,
     "Portable Speaker;Bookshelf Speaker;Smart Speaker;Party Speaker;Soundbar",
     "Room-filling sound from a small body.;"
     "Twenty hours between charges.;Pairs with a second one for stereo.;Woven front from recycled yarn.",
     "oak;aluminium;fabric"},
    {0, "watches-smart", "Smart Watches", "智能手錶", "watch", DEMO_COLOURS, 1290, 5990, 70,
     "Smart Watch;Running Watch;Fitness Band;Hybrid Watch",
     "Heart rate, sleep and oxygen, day and night.;Maps without a phone.;"
     "Five days between charges.;Water-resistant to 50 metres.",
     METALS},
    {0, "cameras", "Cameras", "相機", "camera", DEMO_PLAIN, 3990, 18990, 620,
     "Mirrorless Camera;Compact Camera;Instant Camera;Action Camera;Travel Zoom Camera",
     "A sensor that sees in candlelight.;"
     "Steady hands built in: five axes.;Sends pictures to the phone as you walk.;Weather-sealed.",
     METALS},
    {0, "tablets", "Tablets & e-Readers", "平板電腦", "tablet", DEMO_MEMORY, 1290, 6990, 460,
     "Tablet 11;Paper Reader;Drawing Tablet;Tablet Mini",
     "A screen that is easy on the eyes.;A whole library in a coat pocket.;"
     "Fast enough for drawing, light enough for one hand.;Charges by USB-C.",
     METALS},
    {0, "power", "Chargers & Power Banks", "行動電源", "powerbank", DEMO_COLOURS, 190, 890, 220,
     "Power Bank 10K;Wireless Charger;Travel Adapter;65 W Charger;Magnetic Power Bank",
     "Allowed in every cabin.;"
     "Charges a laptop and a phone together.;Plugs for 150 countries.;No bigger than a deck of cards.",
     "aluminium;recycled plastic"},
    {1, "cabin-cases", "Cabin Cases", "登機箱", "suitcase", DEMO_COLOURS, 990, 4990, 2900,
     "Cabin Trolley 55;Cabin Spinner;Business Cabin Case;Expandable Cabin Case;Underseat Case",
     "Fits the locker of every airline.;"
     "Four silent wheels.;TSA lock and a shell that bends but does not break.;Lined with yarn from bottles.",
     CASES},
    {1, "check-in-cases", "Check-in Cases", "行李箱", "suitcase", DEMO_COLOURS, 1490, 6990, 4300,
     "Check-in Trolley 68;Large Spinner 77;Trunk 75;Family Case 80",
     "Room for three weeks.;Corners that take a knock.;"
     "Ten-year guarantee.;A divider keeps shirts flat.",
     CASES},
    {1, "backpacks", "Backpacks", "背包", "backpack", DEMO_COLOURS, 490, 2490, 1100,
     "Day Pack 20;Travel Backpack 40;Laptop Backpack;Roll-Top Backpack",
     "Opens like a case.;A sleeve for a 16-inch laptop.;"
     "Slides over the handle of a trolley.;Keeps rain out.",
     "recycled nylon;canvas;leather"},
    {1, "weekenders", "Weekenders & Totes", "旅行袋", "duffel", DEMO_COLOURS, 690, 3990, 1300,
     "Weekender;Garment Duffel;Cabin Tote;Foldaway Duffel",
     "Two nights, one bag.;A separate place for shoes.;"
     "Ages well.;Brass zips.",
     LEATHERS},
    {1, "travel-comfort", "Travel Comfort", "旅行枕", "pillow", DEMO_COLOURS, 150, 690, 320,
     "Travel Pillow;Eye Mask Set;Cabin Blanket;Compression Socks;Footrest",
     "Sleep sitting up, nearly as well as lying down.;"
     "Rolls up to the size of a fist.;The cover goes into the wash.;Weighs nearly nothing.",
     "memory foam;merino wool;silk"},
    {1, "organisers", "Packing Organisers", "收納袋", "pouch", DEMO_COLOURS, 120, 590, 180,
     "Packing Cubes;Wash Bag;Cable Organiser;Shoe Bags",
     "Everything in its place.;Presses clothes to half their height.;"
     "Clear window.;Hangs from a hook.",
     "recycled nylon;canvas"},
    {1, "passport-wallets", "Passport Holders & Wallets", "護照套", "wallet", DEMO_COLOURS, 190, 1290, 90,
     "Passport Holder;Travel Wallet;Card Case;Zip Wallet",
     "Keeps thieves from reading cards.;Room for four passports.;"
     "Stitched by hand.;Slim in a pocket.",
     LEATHERS},
    {2, "red-wine", "Red Wine", "紅酒", "wine", DEMO_BOTTLES, 180, 2880, 1400,
     "Cabernet Sauvignon;Pinot Noir;Merlot Réserve;Shiraz;Sangiovese",
     "Dark fruit, cedar and a long finish.;Eighteen months in oak.;"
     "Drink now, or in ten years.;From old vines on limestone.",
     "glass"},
    {2, "white-wine", "White Wine", "白酒", "wine", DEMO_BOTTLES, 160, 1680, 1400,
     "Chardonnay;Sauvignon Blanc;Riesling;Chenin Blanc",
     "Citrus, stone fruit and sea air.;Fermented cool and slowly.;"
     "Made for steamed fish.;Bright and dry.",
     "glass"},
    {2, "sparkling", "Champagne & Sparkling", "香檳", "champagne", DEMO_BOTTLES, 280, 3280, 1650,
     "Brut Réserve;Blanc de Blancs;Rosé Brut;Vintage Cuvée",
     "Fine bubbles, brioche and apple.;Four years on its lees.;"
     "For arrivals and departures.;Low dosage.",
     "glass"},
    {2, "whisky", "Whisky", "威士忌", "spirit", DEMO_PLAIN, 480, 6880, 1600,
     "Single Malt 12;Single Malt 18;Blended Whisky;Cask Strength;Peated Malt",
     "Honey, smoke and orange peel.;Finished in sherry casks.;"
     "Non-chill-filtered.;Drawn from forty casks.",
     "glass"},
    {2, "gin-rum", "Gin, Rum & More", "琴酒", "spirit", DEMO_PLAIN, 280, 1280, 1500,
     "Dry Gin;Citrus Gin;Aged Rum;Botanical Vodka;Baijiu",
     "Pepper, pine and fresh peel.;Distilled in small pots.;Good in a highball.;"
     "A bottle that you keep.",
     "glass"},
    {2, "sake", "Sake", "清酒", "sake", DEMO_BOTTLES, 220, 1880, 1300,
     "Junmai Daiginjo;Nigori;Honjozo;Sparkling Sake",
     "Melon, rice and spring water.;Polished to half the grain.;Serve cool.;"
     "Brewed in the snow.",
     "glass"},
    {2, "glassware", "Glasses & Bar", "酒杯", "glass", DEMO_PLAIN, 160, 1480, 800,
     "Red Wine Glasses, Set of 2;Tumblers, Set of 4;Decanter;Cocktail Set;Champagne Flutes",
     "Thin rims, steady stems.;"
     "Blown by mouth.;Dishwasher-safe.;Comes in a box to give.",
     GLASSES},
    {3, "skincare", "Skincare", "護膚", "jar", DEMO_VOLUMES, 190, 1690, 160,
     "Day Cream;Night Cream;Vitamin C Serum;Cleansing Balm;Hyaluronic Essence;Eye Cream",
     "For skin that has been on a plane.;"
     "No perfume.;Calms within a night.;Dermatologically tested.",
     ""},
    {3, "fragrance", "Fragrance", "香水", "perfume", DEMO_VOLUMES, 480, 2280, 300,
     "Eau de Parfum;Eau de Toilette;Cologne;Parfum Extrait",
     "Bergamot, fig leaf and warm wood.;Osmanthus and tea.;Lasts the day.;"
     "Made in Grasse.",
     "glass"},
    {3, "make-up", "Make-up", "化妝品", "lipstick", DEMO_COLOURS, 150, 590, 60,
     "Satin Lipstick;Lip Tint;Cushion Compact;Blush;Eye Palette",
     "Colour that stays through dinner.;Light as air.;Refillable.;"
     "Ten shades from sheer to bold.",
     ""},
    {3, "hair", "Hair Care", "護髮", "tube", DEMO_VOLUMES, 120, 690, 280,
     "Repair Shampoo;Silk Conditioner;Hair Oil;Scalp Scrub",
     "Brings shine back.;Kind to colour.;Smells of camellia.;Sulphate-free.", ""},
    {3, "bath-body", "Bath & Body", "身體護理", "tube", DEMO_VOLUMES, 110, 590, 300,
     "Body Lotion;Bath Salts;Hand Cream;Shower Oil",
     "A spa in a small bathroom.;Sinks in at once.;With rice bran and yuzu.;Vegan.", ""},
    {3, "grooming", "Men's Grooming", "男士護理", "razor", DEMO_PLAIN, 190, 1490, 240,
     "Safety Razor;Beard Oil;Shaving Set;Electric Shaver",
     "A close shave that forgives.;Stands on its own.;Heavy in the hand.;"
     "Blades for half a year.",
     METALS},
    {3, "wellness", "Wellness Devices", "美容儀", "device", DEMO_PLAIN, 690, 3290, 500,
     "Facial Massager;LED Mask;Sonic Cleanser;Neck Massager",
     "Ten minutes in the evening.;Charges on its stand.;Three strengths.;Quiet.", "aluminium;silicone"},
    {4, "cookware", "Cookware", "廚具", "pan", DEMO_PLAIN, 290, 2690, 2400,
     "Carbon Steel Wok;Cast-Iron Casserole;Frying Pan 28;Saucepan Set;Steamer",
     "Works on every hob.;Heats evenly to the rim.;"
     "Lasts longer than its owner.;Handles stay cool.",
     "cast iron;carbon steel;stainless steel"},
    {4, "appliances", "Small Appliances", "小家電", "kettle", DEMO_COLOURS, 490, 3990, 2600,
     "Pour-Over Kettle;Rice Cooker;Espresso Machine;Air Fryer;Toaster",
     "One knob, no menus.;Ready in three minutes.;"
     "Keeps warm for an hour.;Parts can be replaced.",
     METALS},
    {4, "tableware", "Tableware", "餐具", "cup", DEMO_COLOURS, 120, 1690, 1200,
     "Tea Set;Dinner Plates, Set of 4;Rice Bowls;Espresso Cups;Serving Platter",
     "Fired twice.;No two glazes alike.;"
     "Safe in oven and dishwasher.;Stacks neatly.",
     CLAYS},
    {4, "bedding", "Bedding", "床上用品", "bed", DEMO_COLOURS, 390, 3490, 2200,
     "Duvet Cover;Sheet Set;Silk Pillowcase;Wool Throw",
     "Like a good hotel.;Softer with every wash.;Cool in summer.;Woven in Portugal.", CLOTHS},
    {4, "candles", "Candles & Diffusers", "香薰", "candle", DEMO_PLAIN, 180, 890, 520,
     "Scented Candle;Reed Diffuser;Aroma Stone;Incense Set",
     "Sixty quiet hours.;Cedar, smoke and black tea.;Soy wax and a cotton wick.;"
     "The glass becomes a tumbler.",
     "soy wax;ceramic"},
    {4, "lighting", "Lighting", "燈具", "lamp", DEMO_COLOURS, 390, 2990, 1900,
     "Table Lamp;Reading Lamp;Rechargeable Lantern;Floor Lamp",
     "Warm light, no glare.;Dims by a touch.;A week without a cable.;"
     "Flat-packed.",
     "oak;brass;paper"},
    {4, "storage", "Storage", "收納", "basket", DEMO_PLAIN, 150, 1290, 1500,
     "Laundry Basket;Storage Boxes, Set of 3;Shoe Cabinet;Bamboo Tray",
     "Tidy in a minute.;Stacks four high.;Woven by hand.;Folds away.", "bamboo;rattan;oak"},
    {5, "knitwear", "Knitwear", "針織", "sweater", DEMO_CLOTHES, 390, 2490, 380,
     "Crew-Neck Sweater;Cardigan;Roll-Neck;Polo Knit",
     "Knitted in one piece.;Does not itch.;Warm without weight.;Ribbed cuffs.", CLOTHS},
    {5, "shirts", "Shirts & Blouses", "襯衫", "shirt", DEMO_CLOTHES, 290, 1490, 240,
     "Oxford Shirt;Linen Shirt;Silk Blouse;Travel Shirt",
     "Needs no iron.;Mother-of-pearl buttons.;Cut straight.;Breathes in the heat.", CLOTHS},
    {5, "outerwear", "Outerwear", "外套", "coat", DEMO_CLOTHES, 890, 5490, 900,
     "Trench Coat;Rain Jacket;Down Jacket;Wool Coat",
     "Packs into its pocket.;Keeps a typhoon out.;Warm at minus ten.;Taped seams.",
     "cotton;merino wool;recycled nylon"},
    {5, "shoes", "Shoes", "鞋履", "shoe", DEMO_SHOES, 590, 3290, 900,
     "Loafers;Leather Sneakers;Chelsea Boots;Ballet Flats",
     "Soles that can be renewed.;Comfortable from the first day.;"
     "Stitched, not glued.;Light for travelling.",
     LEATHERS},
    {5, "bags", "Handbags", "手袋", "handbag", DEMO_COLOURS, 690, 6990, 700,
     "Crossbody Bag;Bucket Bag;Tote;Clutch;Shoulder Bag",
     "Closes without a sound.;Fits a passport and a book.;Two straps.;"
     "Lined in twill.",
     LEATHERS},
    {5, "jewellery", "Jewellery", "珠寶", "ring", DEMO_PLAIN, 490, 9990, 40,
     "Pearl Earrings;Signet Ring;Gold Hoops;Jade Pendant;Chain Bracelet",
     "Cast in recycled gold.;A pearl from warm seas.;"
     "Made to be worn every day.;In a box worth keeping.",
     "gold;silver;jade"},
    {5, "watches", "Watches", "手錶", "watch", DEMO_COLOURS, 1290, 12990, 110,
     "Automatic Watch;Field Watch;Dress Watch;Diver;World Timer",
     "A sapphire that does not scratch.;Two time zones at a glance.;"
     "Seventy hours of reserve.;Made to be handed on.",
     METALS},
    {5, "sunglasses", "Sunglasses", "太陽眼鏡", "sunglasses", DEMO_COLOURS, 390, 2290, 60,
     "Round Sunglasses;Aviator;Square Frames;Folding Sunglasses",
     "Polarised.;As light as a coin.;Keeps its shape.;"
     "With a case and a cloth.",
     "acetate;titanium"},
    {6, "running", "Running", "跑步", "shoe", DEMO_SHOES, 590, 1890, 560,
     "Road Running Shoes;Trail Running Shoes;Racing Flats;Recovery Slides",
     "Springs back for 600 kilometres.;Grips wet stone.;"
     "Wide where toes are.;Reflects at night.",
     "recycled polyester;rubber"},
    {6, "yoga", "Yoga & Fitness", "瑜伽", "mat", DEMO_COLOURS, 120, 990, 1800,
     "Yoga Mat;Foam Roller;Resistance Bands;Cork Block Set",
     "Does not slip.;Rolls up small.;From natural rubber.;With a strap.", "natural rubber;cork"},
    {6, "golf", "Golf", "高爾夫", "golf", DEMO_PLAIN, 190, 6990, 1400,
     "Putter;Stand Bag;Golf Balls, Dozen;Rain Glove Pair;Rangefinder",
     "Forgives on bad days.;Quiet at impact.;Light to carry.;"
     "Tested on windy links.",
     METALS},
    {6, "cycling", "Cycling", "單車", "helmet", DEMO_COLOURS, 290, 2490, 480,
     "Road Helmet;Cycling Jersey;Light Set;Saddle Bag",
     "Nineteen vents.;Seen from a kilometre.;Weighs less than a banana.;Turns with one hand.",
     "recycled polyester;carbon"},
    {6, "swim", "Swim & Water", "游泳", "goggles", DEMO_COLOURS, 110, 990, 140,
     "Swim Goggles;Snorkel Set;Dry Bag 20;Towel Poncho",
     "No fog, no marks.;Floats.;Dries in an hour.;Fits narrow faces too.", "silicone"},
    {6, "outdoor", "Hiking & Camping", "露營", "tent", DEMO_COLOURS, 290, 4290, 2300,
     "Two-Person Tent;Sleeping Bag;Trekking Poles;Camp Stove;Rain Cover",
     "Stands up in two minutes.;Warm to zero.;"
     "Weighs less than a litre of water.;Made for monsoon.",
     "recycled nylon;aluminium"},
    {7, "building-toys", "Building Toys", "積木", "blocks", DEMO_PLAIN, 120, 1290, 900,
     "Wooden Blocks;Harbour Building Set;Marble Run;Airport Set;Magnetic Tiles",
     "From three years on.;Takes an afternoon, or ten.;"
     "Paint from plants.;Works with other sets.",
     "beech wood;recycled plastic"},
    {7, "soft-toys", "Soft Toys", "毛公仔", "teddy", DEMO_COLOURS, 90, 590, 300,
     "Panda;Travel Bear;Little Dragon;Sleepy Rabbit",
     "Survives the washing machine.;Stuffed with recycled fibre.;"
     "Small enough to fly along.;Eyes are sewn on.",
     "cotton"},
    {7, "kids-luggage", "Kids' Luggage", "兒童行李", "backpack", DEMO_COLOURS, 190, 890, 900,
     "Ride-On Case;Kids' Backpack;Snack Trolley",
     "Carries one child and one bear.;Reflects at night.;Lunch stays cool.;"
     "Name tag inside.",
     "recycled plastic;canvas"},
    {7, "baby", "Baby Care", "嬰兒用品", "bottle", DEMO_COLOURS, 90, 1290, 350,
     "Baby Bottle Set;Swaddle Blankets;Teether;Travel Cot",
     "No bad plastics.;Soft as it should be.;Sterilise by steam.;"
     "Fits under the seat in front.",
     "silicone;glass;cotton"},
    {7, "puzzles-books", "Puzzles & Books", "圖書拼圖", "book", DEMO_PLAIN, 80, 390, 600,
     "Picture Atlas;500-Piece Puzzle;Bilingual Stories;Sticker Travel Book",
     "English and Chinese side by side.;Rainy days are covered.;"
     "Drawn by hand.;Printed on thick paper.",
     "paper"},
    {7, "kids-wear", "Kids' Wear", "童裝", "shirt", DEMO_CLOTHES, 90, 690, 200,
     "Striped T-Shirt;Rain Poncho;Pyjamas;Hoodie",
     "Grows along: cuffs to turn up.;Soft seams.;Washes at 60 degrees.;Pockets for stones.", CLOTHS},
    {8, "tea", "Tea", "茶葉", "tin", DEMO_PACKS, 80, 980, 200,
     "Tieguanyin 鐵觀音;Dragon Well 龍井;Aged Pu-erh 普洱;Jasmine Pearls 茉莉;Earl Grey",
     "Picked in spring.;Seven infusions.;Floral, with a long finish.;"
     "From one garden.",
     ""},
    {8, "coffee", "Coffee", "咖啡", "coffee", DEMO_PACKS, 90, 480, 300,
     "House Espresso;Yunnan Single Origin;Cold Brew Blend;Decaf Roast",
     "Roasted on Tuesdays.;Cocoa, cherry and brown sugar.;"
     "For filter and moka pot.;Traded directly.",
     ""},
    {8, "chocolate", "Chocolate & Sweets", "朱古力", "chocolate", DEMO_PLAIN, 60, 680, 350,
     "Dark Chocolate 72 %;Praline Box;Sea-Salt Caramels;Egg Rolls 蛋卷;Matcha Truffles",
     "Melts slowly.;No palm oil.;Sixteen pieces.;"
     "Made the day before it ships.",
     ""},
    {8, "hampers", "Hampers", "禮籃", "hamper", DEMO_PLAIN, 480, 3880, 4200,
     "Festive Hamper;Mooncake Box 月餅;Breakfast Hamper;Afternoon Tea Hamper",
     "Enough for a table.;With a card in your words.;"
     "Comes in a basket to keep.;Delivered on the day.",
     "rattan"},
    {9, "gift-cards", "Gift Cards", "禮品卡", "card", DEMO_VALUES, 500, 500, 10,
     "Shop Gift Card;Dining Gift Card;Travel Gift Card",
     "Arrives by e-mail within minutes.;Valid for three years.;"
     "Can be spent in parts.",
     ""},
    {9, "spa-days", "Spa & Wellness Days", "水療", "lotus", DEMO_PERSONS, 680, 3880, 10,
     "Harbour Spa Day;Hot Stone Massage;Sauna & Tea;Couples' Retreat",
     "Ninety quiet minutes.;With a view of the water.;"
     "Book any weekday.;Tea is included.",
     ""},
    {9, "dining", "Dining", "美食", "cloche", DEMO_PERSONS, 480, 4880, 10,
     "Dim Sum Brunch;Tasting Menu;Chef's Table;Harbour Dinner Cruise",
     "Six courses.;A table by the window.;Wine can be added.;"
     "Vegetarian on request.",
     ""},
    {9, "flying", "Flying & Adventure", "飛行體驗", "plane", DEMO_PERSONS, 980, 8880, 10,
     "Flight Simulator Hour;Helicopter Tour;Tandem Skydive;Sailing Lesson",
     "A real instructor at your side.;No experience needed.;"
     "Photos are included.;Moves with the weather.",
     ""},
    {9, "lounges-hotels", "Lounges & Hotels", "酒店住宿", "bed", DEMO_PERSONS, 380, 5880, 10,
     "Airport Lounge Pass;Weekend Stay;Day Room;Staycation with Breakfast",
     "Showers, quiet, good coffee.;Late check-out.;"
     "Valid for a year.;Upgrade when there is room.",
     ""},
};
const size_t demo_kind_count = sizeof demo_kinds / sizeof *demo_kinds;

const struct demo_colour demo_colours[] = {
    {"Midnight", 0x24324f}, {"Jade", 0x2f7d6b},    {"Sand", 0xc9a97c}, {"Coral", 0xd9705f},
    {"Graphite", 0x4a4e57}, {"Ivory", 0xe6dcc8},   {"Plum", 0x6b3f66}, {"Sky", 0x6ea3c7},
    {"Olive", 0x77804b},    {"Saffron", 0xdba13a}, {"Rose", 0xd9a0a6}, {"Burgundy", 0x7a2a38},
};
const size_t demo_colour_count = sizeof demo_colours / sizeof *demo_colours;

const char *const demo_series[] = {
    "Meridian", "Aurora",   "Harbour", "Peak",    "Lantern",  "Victoria", "Monsoon", "Orchid",
    "Atlas",    "Solstice", "Compass", "Willow",  "Quartz",   "Drift",    "Ember",   "Summit",
    "Terrace",  "Pearl",    "Bamboo",  "Cascade", "Echo",     "Juniper",  "Lagoon",  "Noble",
    "Oriel",    "Passage",  "Quay",    "Ripple",  "Sterling", "Tramway",  "Umber",   "Vista",
};
const size_t demo_series_count = sizeof demo_series / sizeof *demo_series;
