/** Why something did not work; nothing as long as there is nothing to say. */
export function Failed({ message }) {
  return (
    message && (
      <p className="failure" role="alert">
        {message}
      </p>
    )
  );
}
