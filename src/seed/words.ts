/** Names, colours and goods of the seeded shop. */
export const FIRST_NAMES =
  'Ada Adam Aisha Alma Amir Ana Anton Astrid Ben Bruno Carla Carlos Chen Clara Dalia David Elena Elif Emil Emma Erik Fatima Felix Finn Frida Greta Hana Hugo Ida Igor Ines Ivan Jana Jonas Julia Kai Karim Lea Leo Lina Luca Maja Marco Maria Mateo Mia Milan Mira Nadia Nils Nina Noah Nora Olga Oscar Paul Petra Rosa Samir Sara Sofia Tara Theo Tom Vera Yusuf Zoe'.split(
    ' ',
  );
export const LAST_NAMES =
  'Adler Ahmed Andersen Bauer Becker Berg Bianchi Blanc Braun Costa Dahl Demir Diaz Dubois Egger Eriksen Fischer Fontaine Garcia Gruber Haas Hansen Horvat Huber Ivanov Jansen Jensen Kaya Keller Klein Kowalski Kraus Lang Larsen Lehmann Lopez Maier Marino Martin Meyer Moreau Moser Muller Nagy Novak Nowak Olsen Ortiz Peters Popov Ricci Rossi Sato Schmidt Silva Sommer Tanaka Torres Urban Vogel Wagner Weber Wolf Yilmaz Ziegler'.split(
    ' ',
  );
export const ADJECTIVES =
  'Classic Compact Cosy Elegant Everyday Folding Handmade Heavy Large Light Little Long Modern Narrow Plain Polished Rounded Rustic Slim Small Soft Solid Striped Sturdy Tall Wide'.split(
    ' ',
  );
const WOOD = 'Ash Beech Birch Cherry Maple Oak Pine Teak Walnut';
const CLOTH = 'Cotton Felt Hemp Jute Linen Silk Wool';
const TABLEWARE = 'Ceramic Glass Porcelain Steel Stoneware';
const METAL = 'Brass Copper Iron Steel';
const WOVEN = 'Bamboo Jute Rattan Seagrass Wicker';
const UPHOLSTERY = 'Corduroy Cotton Leather Linen Velvet';

/** With what it is made of and what it costs, in cents: the cheap ones first, because those are drawn more often. */
export const GOODS: readonly { name: string; materials: string; cents: number }[] = [
  { name: 'Coaster', materials: WOVEN, cents: 450 },
  { name: 'Spoon', materials: WOOD, cents: 590 },
  { name: 'Hook', materials: METAL, cents: 690 },
  { name: 'Egg Cup', materials: TABLEWARE, cents: 790 },
  { name: 'Candle Holder', materials: METAL, cents: 890 },
  { name: 'Mug', materials: TABLEWARE, cents: 1290 },
  { name: 'Bowl', materials: TABLEWARE, cents: 1490 },
  { name: 'Plate', materials: TABLEWARE, cents: 1590 },
  { name: 'Brush', materials: WOOD, cents: 1690 },
  { name: 'Tea Towel', materials: CLOTH, cents: 1790 },
  { name: 'Jar', materials: TABLEWARE, cents: 1890 },
  { name: 'Picture Frame', materials: WOOD, cents: 2190 },
  { name: 'Cutting Board', materials: WOOD, cents: 2490 },
  { name: 'Vase', materials: TABLEWARE, cents: 2890 },
  { name: 'Cushion', materials: CLOTH, cents: 3290 },
  { name: 'Tray', materials: WOOD, cents: 3490 },
  { name: 'Teapot', materials: TABLEWARE, cents: 3990 },
  { name: 'Basket', materials: WOVEN, cents: 4490 },
  { name: 'Apron', materials: CLOTH, cents: 4590 },
  { name: 'Wall Clock', materials: METAL, cents: 5490 },
  { name: 'Blanket', materials: CLOTH, cents: 6990 },
  { name: 'Desk Lamp', materials: METAL, cents: 7990 },
  { name: 'Stool', materials: WOOD, cents: 9490 },
  { name: 'Mirror', materials: METAL, cents: 11900 },
  { name: 'Side Table', materials: WOOD, cents: 14900 },
  { name: 'Chair', materials: WOOD, cents: 18900 },
  { name: 'Rug', materials: CLOTH, cents: 24900 },
  { name: 'Bookcase', materials: WOOD, cents: 34900 },
  { name: 'Desk', materials: WOOD, cents: 49900 },
  { name: 'Bed', materials: WOOD, cents: 79900 },
  { name: 'Dining Table', materials: WOOD, cents: 109000 },
  { name: 'Sofa', materials: UPHOLSTERY, cents: 159000 },
];

export const REASONS = ['changed my mind', 'ordered twice', 'found it elsewhere', 'the delivery takes too long'];
