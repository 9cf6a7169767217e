/** What is said in the place of a list, and a button that helps. */
export function Notice({ title, text, action, onAction, role }) {
  return (
    <div className="notice" role={role}>
      <h2>{title}</h2>
      <p>{text}</p>
      {action && (
        <button type="button" className="primary" onClick={onAction}>
          {action}
        </button>
      )}
    </div>
  );
}
