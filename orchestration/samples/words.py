"""Word lists of the demo retailer: first-name variants, streets, e-mail providers, placeholders, shops.

Only constants. Official statistics (names and communes with their weights) are in `data/`.
"""

from __future__ import annotations

#: Short forms heard in France. The first one is the most usual.
NICKNAMES: dict[str, tuple[str, ...]] = {
    "Alexandre": ("Alex",), "Alexandra": ("Alex", "Sandra"), "Antoine": ("Toine",), "Anthony": ("Tony",),
    "Antonio": ("Tony",), "Benjamin": ("Ben", "Benji"), "Bernadette": ("Berna",), "Bernard": ("Nanard",),
    "Catherine": ("Cathy", "Katy"), "Caroline": ("Caro",), "Charles": ("Charly",), "Charlotte": ("Charlie",),
    "Christelle": ("Chris",), "Christian": ("Chris",), "Christine": ("Chris", "Christy"),
    "Christophe": ("Chris", "Tophe"), "Clémentine": ("Clem",), "Clément": ("Clem",), "Corinne": ("Coco",),
    "Danielle": ("Dany",), "Daniel": ("Dany",), "David": ("Dave",), "Dominique": ("Dom", "Domi"),
    "Edouard": ("Ed", "Doudou"), "Élisabeth": ("Babeth", "Lisa"), "Elisabeth": ("Babeth", "Lisa"),
    "Emmanuel": ("Manu",), "Emmanuelle": ("Manue", "Emma"), "Éric": ("Rico",), "Florence": ("Flo",),
    "Florian": ("Flo",), "François": ("Franck",), "Françoise": ("Fanchon",), "Frédéric": ("Fred",),
    "Frédérique": ("Fred",), "Gabriel": ("Gab",), "Gabrielle": ("Gaby",), "Geneviève": ("Ginette",),
    "Grégory": ("Greg",), "Guillaume": ("Guigui", "Guy"), "Gérard": ("Gégé",), "Isabelle": ("Isa",),
    "Jacqueline": ("Jacotte", "Line"), "Jacques": ("Jacky",), "Jean-Claude": ("JC",),
    "Jean-François": ("Jeff", "JF"), "Jean-Luc": ("JL",), "Jean-Marc": ("JM",), "Jean-Michel": ("JM",),
    "Jean-Paul": ("JP",), "Jean-Philippe": ("JP",), "Jean-Pierre": ("JP",), "Jennifer": ("Jenny",),
    "Jessica": ("Jess",), "Joséphine": ("Jo",), "Jonathan": ("Jo",), "Jérôme": ("Jé",), "Laetitia": ("Laeti",),
    "Laurence": ("Lolo",), "Laurent": ("Lolo",), "Madeleine": ("Mado",), "Marguerite": ("Margot",),
    "Marie-Christine": ("Marie-Chris",), "Marie-Thérèse": ("Maïté",), "Martine": ("Titine",), "Mathieu": ("Mat",),
    "Matthieu": ("Matt",), "Maxime": ("Max",), "Michel": ("Mich", "Michou"), "Michèle": ("Mimi",),
    "Mickaël": ("Micka",), "Monique": ("Momo",), "Mohamed": ("Momo",), "Nathalie": ("Nath",), "Nicolas": ("Nico",),
    "Nicole": ("Nini",), "Olivier": ("Oliv",), "Pascale": ("Pasc",), "Patricia": ("Pat",), "Patrice": ("Pat",),
    "Patrick": ("Pat",), "Philippe": ("Phil",), "Pierre": ("Pierrot",), "Raphaël": ("Raph",), "Rémi": ("Rem",),
    "Robert": ("Bob",), "Samuel": ("Sam",), "Sandrine": ("Sand",), "Sébastien": ("Seb",), "Simone": ("Mone",),
    "Stéphane": ("Stef",), "Stéphanie": ("Stef", "Fanny"), "Suzanne": ("Suzy",), "Sylvie": ("Syl",),
    "Théo": ("Tho",), "Thierry": ("Titi",), "Thomas": ("Tom",), "Valentin": ("Val",), "Valérie": ("Val",),
    "Véronique": ("Véro",), "Victor": ("Vic",), "Vincent": ("Vince",), "Virginie": ("Virgi",), "Yves": ("Yvon",),
    "Zoé": ("Zo",),
}  # fmt: skip

STREET_TYPES = (
    ("rue", 0.60), ("avenue", 0.12), ("boulevard", 0.07), ("chemin", 0.06), ("place", 0.04),
    ("impasse", 0.04), ("allée", 0.04), ("route", 0.02), ("quai", 0.01),
)  # fmt: skip

STREET_NAMES = tuple(
    """de la République;de la Gare;Victor Hugo;Jean Jaurès;Pasteur;de l'Église;du Moulin;des Écoles;
    de la Mairie;Gambetta;du Général de Gaulle;du Maréchal Foch;du Maréchal Leclerc;de Verdun;de la Liberté;
    Émile Zola;Jules Ferry;Voltaire;de Paris;de Lyon;des Lilas;des Acacias;des Tilleuls;des Marronniers;
    des Peupliers;du Stade;du Château;de la Fontaine;des Jardins;du Lavoir;Saint-Martin;Saint-Jean;
    Saint-Pierre;Sainte-Anne;Notre-Dame;du Pont;de la Paix;du 8 Mai 1945;du 11 Novembre;du 14 Juillet;
    de Strasbourg;d'Alsace;de Lorraine;de Bretagne;de Normandie;Carnot;Marceau;Kléber;Lafayette;Mirabeau;
    Danton;Diderot;Rousseau;Molière;Racine;La Fontaine;Balzac;Flaubert;Baudelaire;Verlaine;Rimbaud;Arago;
    Ampère;Lavoisier;Pierre Curie;Marie Curie;Claude Bernard;Jules Verne;Jean Moulin;Pierre Brossolette;
    Paul Bert;Léon Blum;Aristide Briand;Georges Clemenceau;Raymond Poincaré;Anatole France;Romain Rolland;
    Henri Barbusse;Louis Blanc;Ledru-Rollin;Jeanne d'Arc;Vauban;Colbert;Turenne;Duguesclin;du Docteur Roux;
    du Docteur Calmette;du Président Wilson;du Président Kennedy;des Fleurs;des Roses;des Violettes;
    des Mimosas;des Vignes;des Cerisiers;des Pommiers;des Noyers;des Chênes;des Sapins;des Bleuets;
    des Alouettes;des Hirondelles;des Mésanges;des Rossignols;du Bois;de la Forêt;des Prés;des Champs;
    de la Plaine;de la Vallée;de la Colline;des Sources;du Ruisseau;de la Rivière;du Port;de la Plage;
    de la Mer;du Marché;de la Halle;de la Poste;du Commerce;des Artisans;de l'Industrie;de l'Avenir;
    du Progrès;de la Fraternité;de l'Égalité;des Tanneurs;des Tisserands;des Forges;du Four;Neuve;Haute;
    Basse;Grande Rue;du Centre;des Remparts;de la Tour;du Couvent;de l'Abbaye;du Presbytère;du Calvaire;
    de la Croix;des Carmes;des Capucins""".replace("\n    ", "").split(";")
)

ADDRESS_EXTRAS = (
    "Bâtiment A", "Bâtiment B", "Bât C", "Résidence Les Pins", "Résidence du Parc", "Appartement 12", "Appt 3",
    "2e étage", "3e étage porte gauche", "Escalier B", "Lieu-dit La Grange", "BP 120",
)  # fmt: skip

#: Abroad: (postal code, city, country, telephone prefix).
ABROAD = (
    ("1000", "Bruxelles", "BE", "+324"), ("4000", "Liège", "BE", "+324"), ("5000", "Namur", "BE", "+324"),
    ("1201", "Genève", "CH", "+417"), ("1003", "Lausanne", "CH", "+417"), ("1946", "Luxembourg", "LU", "+3526"),
    ("98000", "Monaco", "MC", "+3776"),
)  # fmt: skip

#: (domain, weight, weight for those born before 1960)
EMAIL_DOMAINS = (
    ("gmail.com", 0.40, 0.18), ("orange.fr", 0.13, 0.26), ("wanadoo.fr", 0.04, 0.20), ("free.fr", 0.08, 0.10),
    ("hotmail.fr", 0.08, 0.04), ("hotmail.com", 0.05, 0.03), ("yahoo.fr", 0.06, 0.05), ("laposte.net", 0.05, 0.06),
    ("sfr.fr", 0.04, 0.05), ("outlook.fr", 0.03, 0.01), ("icloud.com", 0.02, 0.005), ("live.fr", 0.01, 0.01),
    ("bbox.fr", 0.01, 0.01), ("courriel.example", 0.01, 0.005),
)  # fmt: skip

EMAIL_DOMAIN_TYPOS: dict[str, tuple[str, ...]] = {
    "gmail.com": ("gmial.com", "gmail.fr", "gmai.com", "gmail.con", "gamil.com", "gmail.co"),
    "orange.fr": ("orange.f", "ornage.fr", "orange.com", "oange.fr"),
    "wanadoo.fr": ("wanado.fr", "wandoo.fr", "wanadoo.com"),
    "free.fr": ("fre.fr", "freee.fr"),
    "hotmail.fr": ("hotmial.fr", "hotmal.fr", "hotmail.f"),
    "hotmail.com": ("hotmial.com", "hotmail.con", "homail.com"),
    "yahoo.fr": ("yaho.fr", "yahoo.ff"),
    "laposte.net": ("laposte.fr", "la poste.net"),
    "sfr.fr": ("srf.fr", "sfr.f"),
    "outlook.fr": ("outlok.fr", "outloook.fr"),
}

#: What clerks type when the customer gives none.
PLACEHOLDER_EMAILS = (
    "test@test.com", "aucun@aucun.fr", "pasdemail@gmail.com", "nc@nc.fr", "client@maison-garance.example",
    "non@non.fr",
)  # fmt: skip
PLACEHOLDER_PHONES = ("0600000000", "0000000000", "0606060606", "0123456789", "0611111111")
PLACEHOLDER_BIRTHS = ((1900, 1, 1), (1970, 1, 1), (2000, 1, 1), (1911, 11, 11))

#: (code, city, telephone): the shops. Cashiers sometimes key their own telephone for a customer.
SHOPS = (
    ("001", "Paris Rivoli", "0142330101"),
    ("002", "Paris Montparnasse", "0143220102"),
    ("003", "Lyon Part-Dieu", "0478620103"),
    ("004", "Marseille Prado", "0491770104"),
    ("005", "Lille Rihour", "0320550105"),
    ("006", "Bordeaux Sainte-Catherine", "0556440106"),
    ("007", "Nantes Crébillon", "0240730107"),
    ("008", "Toulouse Capitole", "0561220108"),
    ("009", "Strasbourg Kléber", "0388320109"),
    ("010", "Rennes Le Bastard", "0299790110"),
    ("011", "Nice Médecin", "0493870111"),
    ("012", "Dijon Liberté", "0380300112"),
)

#: Departments by the first digits of their landlines; those not listed have 01.
_DEPARTMENTS_OF_ZONE = {
    "2": "14 18 22 27 28 29 35 36 37 41 44 45 49 50 53 56 61 72 76 79 85 86 97",
    "3": "02 08 10 21 25 39 51 52 54 55 57 58 59 60 62 67 68 70 71 80 88 89 90",
    "4": "01 03 04 05 06 07 11 13 15 20 26 30 34 38 42 43 48 63 66 69 73 74 83 84",
    "5": "09 12 16 17 19 23 24 31 32 33 40 46 47 64 65 81 82 87",
}
LANDLINE_ZONES: dict[str, str] = {
    department: zone for zone, departments in _DEPARTMENTS_OF_ZONE.items() for department in departments.split()
}
