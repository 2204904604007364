// Reads popular films, a film with credits, changes and error cases by moviedb-promise; prints one JSON object.
import { MovieDb } from "moviedb-promise";

const base = process.argv[2];
const client = new MovieDb("any", `${base}/3/`);
const failure = async (call) => {
  try {
    await call;
    return null;
  } catch (error) {
    return [error.response.status, error.response.data.status_code];
  }
};

const popular = await client.moviePopular({ page: 2 });
const film = await client.movieInfo({ id: 19995, append_to_response: "credits" });
const credits = await client.movieCredits({ id: 19995 });
const changes = await client.changedMovies({ start_date: "2026-01-01", end_date: "2026-01-14" });
const genres = await client.genreMovieList();
const configuration = await client.configuration();

console.log(
  JSON.stringify({
    popular: [popular.page, popular.results.length, popular.total_pages],
    film: [film.title, film.revenue, film.credits.crew.find((person) => person.job === "Director").name],
    cast: credits.cast[0].name,
    changes: [changes.page, changes.results.length, typeof changes.results[0].id],
    genres: genres.genres.length,
    images: configuration.images.poster_sizes.length,
    unknown: await failure(client.movieInfo({ id: 1 })),
    page: await failure(client.moviePopular({ page: 501 })),
    range: await failure(client.changedMovies({ start_date: "2026-01-01", end_date: "2026-02-01" })),
    key: await failure(new MovieDb(" ", `${base}/3/`).moviePopular()),
  }),
);
