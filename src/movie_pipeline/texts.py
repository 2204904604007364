"""Words of charts and report in Spanish and English, and how both write numbers."""

from collections.abc import Mapping

from movie_pipeline.settings import Language

_WORDS: dict[str, tuple[str, str]] = {
    # charts
    "top_films": ("Películas más populares", "Most popular films"),
    "popularity_of": (
        "Popularidad de TMDB y percentil dentro de la carga",
        "TMDB popularity and percentile of the load",
    ),
    "popularity": ("Popularidad de TMDB", "TMDB popularity"),
    "percentile": ("percentil {}", "percentile {}"),
    "popular_genres": ("Géneros: cuántas películas y qué popularidad", "Genres: how many films, how popular"),
    "films": ("Películas", "Films"),
    "films_n": ("{} películas", "{} films"),
    "median_popularity": ("Popularidad: mediana y mitad central", "Popularity: median and middle half"),
    "genre_rating": ("Valoración por género", "Rating by genre"),
    "mean_rating": ("Valoración media y mitad central (0–10)", "Mean rating and middle half (0–10)"),
    "each_once": (
        "Cada película cuenta una vez en cada uno de sus géneros",
        "Each film counts once in each of its genres",
    ),
    "few": ("Menos de {} películas: sin ordenar con las demás", "Fewer than {} films: not ranked with the others"),
    "warehouse": ("Análisis del data warehouse", "Data warehouse analysis"),
    "once": ("Cada película cuenta una vez", "Each film counts once"),
    "by_popularity": ("Nivel de popularidad", "Popularity level"),
    "by_rating": ("Nivel de valoración", "Rating level"),
    "profitable": ("Rentables entre las de dinero conocido", "Profitable, of those with known money"),
    "money": ("Mediana en millones de dólares", "Median in millions of dollars"),
    "last_decades": ("; dinero: las últimas {} décadas que lo tienen", "; money: the last {} decades that have it"),
    "budget": ("Presupuesto", "Budget"),
    "revenue": ("Ingresos", "Revenue"),
    "unknown": ("Sin dato", "Unknown"),
    "importance": ("Qué columnas usa el modelo", "What the model leans on"),
    "importance_axis": (
        "Cuánto crece el error al barajar la columna (puntos del objetivo)",
        "How much the error grows when the column is shuffled (points of the target)",
    ),
    "set_seed": ("Con votos e ingresos (después del estreno)", "With votes and revenue (after release)"),
    "set_pre_release": ("Solo lo conocido antes del estreno", "Only what is known before release"),
    "trends": ("Tendencias: las películas cuya popularidad más cambió", "Trends: films whose popularity moved most"),
    "trends_of": (
        "La escala de TMDB cambia con los años; el percentil dentro de la carga del día, no",
        "TMDB's scale changes over the years; the percentile of the day's load does not",
    ),
    "percentile_of_load": ("Percentil dentro de la carga del día", "Percentile of the day's load"),
    "no_data": ("Sin datos todavía", "No data yet"),
    "batch": ("Lote {}: {} mensajes", "Batch {}: {} messages"),
    "catalogue_of": ("base de {} películas", "catalogue of {} films"),
    # run
    "step_aggregates": ("cálculos en la base de datos", "aggregates in the database"),
    "step_model": ("modelo", "model"),
    "step_charts": ("gráficos", "charts"),
    # what a load did with films
    "count_new": ("nuevas", "new"),
    "count_changed": ("cambiadas", "changed"),
    "count_refreshed": ("confirmadas", "confirmed"),
    "count_unchanged": ("sin cambios", "unchanged"),
    "count_older": ("más antiguas que lo cargado", "older than what was loaded"),
    "count_deleted": ("borradas", "deleted"),
    # levels
    "Alta": ("Alta", "High"),
    "Media": ("Media", "Medium"),
    "Baja": ("Baja", "Low"),
    "Muy Baja": ("Muy Baja", "Very low"),
    "Excelente": ("Excelente", "Excellent"),
    "Buena": ("Buena", "Good"),
    "Regular": ("Regular", "Fair"),
    "Mala": ("Mala", "Bad"),
    # features
    "feature_budget": ("presupuesto", "budget"),
    "feature_runtime": ("duración", "runtime"),
    "feature_release_year": ("año de estreno", "release year"),
    "feature_release_month": ("mes de estreno", "release month"),
    "feature_companies": ("número de productoras", "number of companies"),
    "feature_cast_size": ("tamaño del reparto", "size of the cast"),
    "feature_revenue": ("ingresos", "revenue"),
    "feature_vote_count": ("número de votos", "number of votes"),
    "feature_genres": ("géneros", "genres"),
    "feature_director": ("director", "director"),
    "feature_company": ("productora", "company"),
    "feature_lead_1": ("1.er intérprete", "first lead"),
    "feature_lead_2": ("2.º intérprete", "second lead"),
    "feature_lead_3": ("3.er intérprete", "third lead"),
    "feature_language": ("idioma original", "original language"),
    # findings
    "finding_unknown_budget": ("Presupuesto desconocido", "Budget unknown"),
    "finding_unknown_revenue": ("Ingresos desconocidos", "Revenue unknown"),
    "finding_money_in_millions": (
        "Dinero de 1 a 999 dólares: escrito en millones",
        "Money of 1 to 999 dollars: typed in millions",
    ),
    "finding_unknown_release_date": ("Sin fecha de estreno", "No release date"),
    "finding_implausible_release_date": ("Fecha de estreno imposible", "Impossible release date"),
    "finding_unrated": ("Sin valoración", "Unrated"),
    "finding_no_genre": ("Sin género", "No genre"),
    "finding_no_director": ("Sin director", "No director"),
    "finding_no_cast": ("Sin reparto", "No cast"),
    "finding_no_company": ("Sin productora", "No production company"),
    "finding_unknown_genre": ("Con un género que TMDB no lista", "With a genre that TMDB does not list"),
    "finding_namesakes": ("Nombres que llevan varias personas", "Names that several people bear"),
    "finding_same_title": ("Películas que comparten título", "Films that share a title"),
}

_CORRECTED: Mapping[str, str] = {
    "impossible": "imposible",
    "duplicate in": "repetido en",
    "NUL removed from a text": "carácter NUL quitado de un texto",
    "release_date": "fecha de estreno",
    "runtime": "duración",
    "budget": "presupuesto",
    "revenue": "ingresos",
    "popularity": "popularidad",
    "vote_average": "valoración",
    "vote_count": "número de votos",
    "genres": "géneros",
    "production_companies": "productoras",
    "directors": "directores",
    "cast": "reparto",
}
"""Words of what `transform.clean` counts."""

GENRES_ES: Mapping[str, str] = {
    "Action": "Acción",
    "Adventure": "Aventura",
    "Animation": "Animación",
    "Comedy": "Comedia",
    "Crime": "Crimen",
    "Documentary": "Documental",
    "Family": "Familia",
    "Fantasy": "Fantasía",
    "Foreign": "Extranjera",
    "History": "Historia",
    "Horror": "Terror",
    "Music": "Música",
    "Mystery": "Misterio",
    "Science Fiction": "Ciencia ficción",
    "Thriller": "Suspense",
    "TV Movie": "Película de TV",
    "War": "Bélica",
}
"""TMDB's Spanish names of its genres, where they differ from the English ones."""


class Texts:
    """The words of one language: `texts["films"]`, `texts.number(4803)`."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._at = 0 if language is Language.SPANISH else 1

    def __getitem__(self, key: str) -> str:
        return _WORDS[key][self._at]

    def count(self, name: str) -> str:
        """Return what a load did with films; names that have no words of their own pass through."""
        return self[f"count_{name}"] if f"count_{name}" in _WORDS else name

    def choose(self, spanish: str, english: str) -> str:
        """Return the text of this language."""
        return (spanish, english)[self._at]

    def number(self, value: float, decimals: int = 0) -> str:
        """Return a number as the language writes it; thousands stand apart by a narrow space, as both accept."""
        text = f"{value:,.{decimals}f}".replace(",", "\u202f")
        return text.replace(".", ",") if self.language is Language.SPANISH else text

    def percent(self, share: float, decimals: int = 0) -> str:
        """Return a share of 1 as a percentage."""
        return self.number(100 * share, decimals) + "\u202f%" * (self._at == 0) + "%" * (self._at == 1)

    def correction(self, name: str) -> str:
        """Return what cleaning corrected, named by `transform.clean`."""
        if self.language is not Language.SPANISH or name in _CORRECTED:
            return _CORRECTED[name] if self.language is Language.SPANISH else name
        what, _, field = name.rpartition(" ")
        where = _CORRECTED.get(field, field)
        return f"{where}: {_CORRECTED[what]}" if what == "impossible" else f"{_CORRECTED.get(what, what)} {where}"

    def genre(self, name: str) -> str:
        """Return a genre's name in the language; names that TMDB does not have pass through."""
        return GENRES_ES.get(name, name) if self.language is Language.SPANISH else name
