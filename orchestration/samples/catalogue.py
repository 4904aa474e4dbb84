"""The product range of the demo retailer: what is sold, and the lines on a bill that are no product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orchestration.samples.streams import Streams, weighted_choice
from orchestration.samples.text import objects

#: (category, subcategory, nouns, audiences, usual price in euros)
_RANGE = (
    ("Prêt-à-porter", "Robes", ("Robe longue", "Robe portefeuille", "Robe chemise"), "FE", 59),
    ("Prêt-à-porter", "Pantalons", ("Jean droit", "Pantalon chino", "Pantalon large"), "FHE", 49),
    ("Prêt-à-porter", "Hauts", ("T-shirt rayé", "Chemise en lin", "Blouse", "Polo"), "FHE", 29),
    ("Prêt-à-porter", "Mailles", ("Pull col rond", "Gilet", "Cardigan"), "FHE", 45),
    ("Prêt-à-porter", "Manteaux", ("Manteau droit", "Parka", "Doudoune", "Trench"), "FHE", 129),
    ("Lingerie et nuit", "Nuit", ("Pyjama", "Chemise de nuit", "Robe de chambre"), "FHE", 35),
    ("Lingerie et nuit", "Lingerie", ("Culotte", "Soutien-gorge", "Collant"), "F", 19),
    ("Chaussures", "Ville", ("Derbies", "Mocassins", "Bottines"), "FH", 89),
    ("Chaussures", "Baskets", ("Baskets basses", "Baskets montantes"), "FHE", 65),
    ("Accessoires", "Sacs", ("Sac cabas", "Sac à dos", "Pochette"), "FH", 55),
    ("Accessoires", "Écharpes et bonnets", ("Écharpe", "Bonnet", "Gants"), "FHE", 22),
    ("Accessoires", "Bijoux", ("Collier", "Bracelet", "Boucles d'oreilles"), "F", 25),
    ("Maison", "Linge de lit", ("Housse de couette", "Drap-housse", "Taie d'oreiller"), "-", 49),
    ("Maison", "Table", ("Assiette", "Nappe", "Carafe"), "-", 24),
    ("Maison", "Décoration", ("Bougie parfumée", "Coussin", "Vase"), "-", 27),
    ("Beauté", "Soins", ("Crème de jour", "Huile pour le corps", "Savon"), "-", 18),
    ("Beauté", "Parfums", ("Eau de toilette", "Eau de parfum"), "FH", 62),
    ("Jouets", "Éveil", ("Peluche", "Hochet", "Puzzle en bois"), "E", 21),
)
_BRANDS = (
    "Maison Garance", "Atelier Lune", "Bord de Seine", "Les Petits Pas", "Cap Ouessant", "Fil et Lin", "Grand Large",
    "Hôtel du Nord", "Jardin d'Hiver", "Kermesse", "La Manufacture", "Nuit Blanche", "Oncle Anselme", "Barque Bleue",
    "Quai 12", "Rive Droite", "Sainte Colombe", "Terre Rouge", "Vent d'Ouest", "Zéphyr",
)  # fmt: skip
_COLOURS = ("écru", "marine", "noir", "kaki", "terracotta", "bleu ciel", "rose poudré", "gris chiné")

#: (reference, label, price in cents): lines of a bill that are no product.
POSTAGE, GIFT_CARD, WRAPPING, TEST = range(4)
NO_PRODUCTS = (
    ("PORT", "Frais de port", 490),
    ("CARTE-CADEAU", "Carte cadeau", 3000),
    ("EMBALLAGE", "Emballage cadeau", 250),
    ("TEST001", "Article de test", 1),
)


@dataclass(frozen=True)
class Catalogue:
    """Products, then the four lines that are none. `audience` is F, H, E (children) or "" for all."""

    reference: np.ndarray
    label: np.ndarray
    category: np.ndarray
    subcategory: np.ndarray
    brand: np.ndarray
    audience: np.ndarray
    cents: np.ndarray
    is_product: np.ndarray
    popularity: np.ndarray
    #: position of the first line that is no product
    products: int


def invent_catalogue(streams: Streams, size: int = 480) -> Catalogue:
    random = streams.of("catalogue")
    choices = [(entry, audience) for entry in _RANGE for audience in entry[3]]
    drawn = random.integers(0, len(choices), size)
    brand, colour, noun = (
        random.integers(0, len(_BRANDS), size),
        random.integers(0, 8, size),
        random.integers(0, 12, size),
    )
    factor = np.exp(random.normal(0, 0.35, size))
    label, category, subcategory, audience, cents = [], [], [], [], []
    for item in range(size):
        (cat, sub, nouns, _, price), who = choices[drawn[item]]
        amount = price * factor[item] * (0.6 if who == "E" else 1.0)
        label.append(f"{nouns[noun[item] % len(nouns)]} {_COLOURS[colour[item]]}")
        category.append(cat)
        subcategory.append(sub)
        audience.append("" if who == "-" else who)
        cents.append(int(max(amount, 4)) * 100 + (90, 95, 99, 0)[item % 4])
    extra = len(NO_PRODUCTS)
    return Catalogue(
        reference=objects([f"G{10_000 + 7 * item}" for item in range(size)] + [code for code, _, _ in NO_PRODUCTS]),
        label=objects(label + [text for _, text, _ in NO_PRODUCTS]),
        category=objects(category + ["Hors catalogue"] * extra),
        subcategory=objects(subcategory + [""] * extra),
        brand=objects([_BRANDS[b] for b in brand] + [""] * extra),
        audience=objects(audience + [""] * extra),
        cents=np.array(cents + [price for _, _, price in NO_PRODUCTS], dtype=np.int64),
        is_product=np.arange(size + extra) < size,
        popularity=np.concatenate([random.pareto(3.0, size) + 0.3, np.zeros(extra)]),
        products=size,
    )


def pick_products(
    catalogue: Catalogue, random: np.random.Generator, audience: np.ndarray, favourite: np.ndarray
) -> np.ndarray:
    """One product per line: popular ones more often, from the wanted audience, often from a favourite category.

    `audience`: 0 women, 1 men, 2 children, 3 for all; `favourite`: position in `categories()`, or -1.
    """
    result = np.zeros(len(audience), dtype=np.int64)
    codes = objects(["F", "H", "E", ""])
    for who in range(4):
        for wanted in range(-1, len(categories())):
            rows = np.flatnonzero((audience == who) & (favourite == wanted))
            if not len(rows):
                continue
            fits = (catalogue.audience == codes[who]) & catalogue.is_product
            if wanted >= 0 and (fits & (catalogue.category == categories()[wanted])).any():
                fits &= catalogue.category == categories()[wanted]
            candidates = np.flatnonzero(fits if fits.any() else catalogue.is_product)
            result[rows] = candidates[weighted_choice(random, catalogue.popularity[candidates], len(rows))]
    return result


def categories() -> list[str]:
    return list(dict.fromkeys(entry[0] for entry in _RANGE))
